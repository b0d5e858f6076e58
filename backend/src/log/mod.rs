//! The log: what an [`engine`] keeps, what a [`subscription`] reads of it, and each event's bytes, made once ([`encoding`]).
//!
//! The log knows no HTTP and no delivery. Each event's bytes are encoded here all the same: encoding an event once for all its
//! readers is what makes a delivery cheap.

pub mod encoding;
pub mod engine;
pub mod subscription;

mod sync;
