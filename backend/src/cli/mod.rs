//! The commands, one file each.

pub mod check;
pub mod publish;
pub mod serve;
pub mod subscribe;
