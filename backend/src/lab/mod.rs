//! What only the lab asks for; a push server works without.

pub mod about;
pub mod app;
pub mod channel;
pub mod clock;
pub mod features;
pub mod feed;
pub mod sources;
pub mod visitors;
pub mod watch;

#[cfg(fuzzing)]
pub use self::watch::dissect::fuzz;
