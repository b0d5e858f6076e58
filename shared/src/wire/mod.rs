//! Bytes to types and back: what the server encodes, clients and tests decode.

pub mod cbor;
pub mod sse;
