//! Connections: listening, TLS, HTTP/1.1 and HTTP/2, and the counting of what is written.

pub mod connection;
pub mod listen;
pub mod tap;
pub mod tls;

pub(crate) mod backlog;
pub(crate) mod body;
pub(crate) mod fields;
pub(crate) mod http2;
pub(crate) mod open_files;
