//! The header fields and the token that a client sends with every request.

use std::{fs, path::PathBuf};

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};

/// Header fields, and a token. Nothing by default.
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
    /// Read anew for each request: whoever renews it writes it there.
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
    /// With a field more.
    #[must_use]
    pub fn field(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.fields.append(name, value);
        self
    }

    /// With this token, as `Authorization: Bearer`; `None` if it can't be in a header.
    pub fn token(mut self, token: &str) -> Option<Self> {
        self.token = Token::Fixed(bearer(token)?);
        Some(self)
    }

    /// With the token in this file, as it is whenever it is shown.
    #[must_use]
    pub fn token_file(mut self, path: PathBuf) -> Self {
        self.token = Token::File(path);
        self
    }

    /// The header fields of one request. A token file that can't be read, or holds no token, adds none: the server says then what is
    /// missing.
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

    /// A token that has ended may have been renewed since.
    pub(crate) const fn may_be_renewed(&self) -> bool {
        matches!(self.token, Token::File(_))
    }
}

fn bearer(token: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.trim())).ok()?;
    value.set_sensitive(true);
    Some(value)
}
