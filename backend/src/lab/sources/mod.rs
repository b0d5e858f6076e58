//! Events that need no publisher.

pub mod host;
