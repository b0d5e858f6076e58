//! The log of events: an [`engine`] keeps it, a [`subscription`] reads it, and each event is encoded once for all
//! readers ([`encoding`]).
//!
//! The log knows no HTTP and no delivery. It holds the encodings all the same, because encoding an event once for all
//! its readers is what makes a delivery cheap.

pub mod encoding;
pub mod engine;
pub mod subscription;

mod sync;
