//! The commands, one file each.

pub mod publish;
pub mod serve;
pub mod subscribe;
