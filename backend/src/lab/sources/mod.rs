//! Sources: events of the server itself, so that there is something to read without a publisher.

pub mod host;
