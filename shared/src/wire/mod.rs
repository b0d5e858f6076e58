//! Encodings of the wire, in both directions: the server encodes what clients and tests decode.

pub mod cbor;
pub mod frame;
pub mod sse;
