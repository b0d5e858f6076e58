//! The subcommands of `fourways`, one module each.

pub mod check;
pub mod log;
pub mod publish;
pub mod rehearse;
pub mod serve;
pub mod server;
pub mod settings;
mod show;
pub mod subscribe;
