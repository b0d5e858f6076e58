//! Connections: how they come in, what they speak, and what is read and written on them.

pub mod connection;
pub mod listen;
pub mod tap;
pub mod tls;

pub(crate) mod backlog;
pub(crate) mod body;
pub(crate) mod fields;
pub(crate) mod http2;
pub(crate) mod open_files;
