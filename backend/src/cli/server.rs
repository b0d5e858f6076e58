//! Flags that `publish`, `subscribe`, `rehearse` and `check` share: the server's address, a token, header fields.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use fourways_client::{Credentials, Target};
use reqwest::header::{HeaderName, HeaderValue};

/// A Fourways server.
#[derive(Args, Debug)]
pub struct ServerFlags {
    /// The server: http:// or https://, with a path if it is served below one. In `SSL_CERT_FILE` are
    /// certificates to trust.
    #[arg(long, env = "FOURWAYS_SERVER", default_value = "http://127.0.0.1:8080", value_name = "URL")]
    pub server: String,

    /// What is shown there.
    #[command(flatten)]
    pub shown: Shown,
}

impl ServerFlags {
    /// The server with what is shown there.
    ///
    /// # Errors
    /// If the address or what is shown is none.
    pub fn target(&self) -> anyhow::Result<Target> {
        Ok(Target::new(&self.server, Vec::new())?.credentials(self.shown.credentials()?))
    }
}

/// What is shown with every request.
#[derive(Args, Clone, Debug)]
pub struct Shown {
    /// Header field to send with every request; may be given several times.
    #[arg(long, value_name = "NAME: VALUE", value_parser = field)]
    pub header: Vec<(HeaderName, HeaderValue)>,

    /// Token to show, where the server asks for one. Better in the environment or a file than on the command line, which
    /// others may see.
    #[arg(long, env = "FOURWAYS_TOKEN", hide_env_values = true, value_name = "JWT")]
    pub token: Option<String>,

    /// File with the token, read for each request: one that is renewed is shown from then on.
    #[arg(long, env = "FOURWAYS_TOKEN_FILE", conflicts_with = "token", value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}

impl Shown {
    /// The same for a client.
    ///
    /// # Errors
    /// If the token can't be in a header, or its file can't be read.
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
            Some(token) => credentials.token(token).context("the token has what no header field may have"),
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
