//! Flags shared by `publish`, `subscribe`, `rehearse` and `check`: the server's address, a token, header fields.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use fourways_client::{Credentials, Target};
use reqwest::header::{HeaderName, HeaderValue};

/// A Fourways server, and what to send with every request to it.
#[derive(Args, Debug)]
pub struct ServerFlags {
    /// URL of the server, http:// or https://, with the path if the server is reached below one. `SSL_CERT_FILE` names
    /// a file of certificates to trust instead of the system's.
    #[arg(long, env = "FOURWAYS_SERVER", default_value = "http://127.0.0.1:8080", value_name = "URL")]
    pub server: String,

    /// The header fields and the token to send.
    #[command(flatten)]
    pub shown: CredentialFlags,
}

impl ServerFlags {
    /// Returns the server as a target of the client, with the header fields and the token to send.
    ///
    /// # Errors
    /// If the address is not valid, or the credentials are not: see [`CredentialFlags::credentials`].
    pub fn target(&self) -> anyhow::Result<Target> {
        Ok(Target::new(&self.server, Vec::new())?.credentials(self.shown.credentials()?))
    }
}

/// Header fields and a token that are sent with every request.
#[derive(Args, Clone, Debug)]
pub struct CredentialFlags {
    /// Header field to send with every request; can be given more than once.
    #[arg(long, value_name = "NAME: VALUE", value_parser = field)]
    pub header: Vec<(HeaderName, HeaderValue)>,

    /// Token to send, if the server requires one. Prefer the environment or a file: other users of this machine can see
    /// the command line.
    #[arg(long, env = "FOURWAYS_TOKEN", hide_env_values = true, value_name = "JWT")]
    pub token: Option<String>,

    /// File that contains the token. It is read for each request, so that a renewed token is sent from then on.
    #[arg(long, env = "FOURWAYS_TOKEN_FILE", conflicts_with = "token", value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}

impl CredentialFlags {
    /// Converts the flags into credentials of the client.
    ///
    /// # Errors
    /// If the token can't be in a header field, or there is no token file.
    pub fn credentials(&self) -> anyhow::Result<Credentials> {
        let mut credentials = Credentials::default();
        for (name, value) in &self.header {
            credentials = credentials.field(name.clone(), value.clone());
        }
        if let Some(path) = &self.token_file {
            std::fs::metadata(path).with_context(|| format!("token file {}", path.display()))?;
            credentials = credentials.token_file(path.clone());
        }
        match &self.token {
            Some(token) => credentials.token(token).context("the token can't be sent in a header field"),
            None => Ok(credentials),
        }
    }
}

fn field(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("a header field is NAME: VALUE")?;
    let name = name.trim().parse().map_err(|error| format!("{name:?}: {error}"))?;
    let value = value.trim().parse().map_err(|error| format!("{value:?}: {error}"))?;
    Ok((name, value))
}
