//! The log: what an [`engine`] keeps, what a [`subscription`] reads of it, and each event's bytes, made once ([`encoding`]).
//!
//! It knows no HTTP and no delivery. The bytes that deliveries write are made here all the same, because that they are made
//! once for all readers is what makes a delivery cheap.

pub mod encoding;
pub mod engine;
pub mod subscription;

mod sync;
