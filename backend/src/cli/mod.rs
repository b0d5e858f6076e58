//! The commands, one file each.

pub mod check;
pub mod log;
pub mod publish;
pub mod rehearse;
pub mod serve;
pub mod settings;
pub mod subscribe;
