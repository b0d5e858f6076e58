//! The lab and its clients, from outside: a real server, a real Chromium, real Node clients.
//!
//! `FOURWAYS_BINARY` names the server that has the app built in; `cargo xtask test` sets it.

mod browser;
mod files;
mod refusal;
mod server;

pub use self::{browser::Browser, refusal::refuse_once, server::Server};

use std::time::Duration;

/// Longest that anything may take; a test that waits so long has failed.
pub const DEADLINE: Duration = Duration::from_secs(40);
