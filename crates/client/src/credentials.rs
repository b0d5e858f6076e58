//! The header fields and the token that a client sends with every request.

use std::{fs, path::PathBuf};

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};

/// Header fields and a token; none by default. Cloned with the [`crate::Target`] that sends them.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    fields: HeaderMap,
    token: Token,
}

#[derive(Clone, Default)]
enum Token {
    #[default]
    None,
    Fixed(HeaderValue),
    /// A file that is read anew for each request, so that the token can be renewed in it.
    File(PathBuf),
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "no token",
            Self::Fixed(_) => "a token",
            Self::File(_) => "a token from a file",
        })
    }
}

impl Credentials {
    /// Adds a header field.
    #[must_use]
    pub fn field(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.fields.append(name, value);
        self
    }

    /// Sets the token, which is sent as `Authorization: Bearer`; `None` if a header can't hold it.
    pub fn token(mut self, token: &str) -> Option<Self> {
        self.token = Token::Fixed(bearer(token)?);
        Some(self)
    }

    /// Sets the file that holds the token. The file is read for each request.
    #[must_use]
    pub fn token_file(mut self, path: PathBuf) -> Self {
        self.token = Token::File(path);
        self
    }

    /// Returns the header fields of one request. A token file that can't be read, or holds no token, adds no field; the
    /// server's refusal then says that a token is missing.
    pub fn fields(&self) -> HeaderMap {
        let mut fields = self.fields.clone();
        let token = match &self.token {
            Token::None => None,
            Token::Fixed(value) => Some(value.clone()),
            Token::File(path) => fs::read_to_string(path).ok().and_then(|token| bearer(&token)),
        };
        if let Some(token) = token {
            fields.insert(AUTHORIZATION, token);
        }
        fields
    }

    /// True if an expired token may have been renewed meanwhile, because it is in a file.
    pub(crate) const fn may_be_renewed(&self) -> bool {
        matches!(self.token, Token::File(_))
    }
}

fn bearer(token: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.trim())).ok()?;
    value.set_sensitive(true);
    Some(value)
}
