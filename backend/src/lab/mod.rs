//! The parts of the server that only the lab uses; a push server works without them.

pub mod about;
pub mod app;
pub mod channel;
pub mod clock;
pub mod feed;
pub mod kill;
pub mod sources;
pub mod use_cases;
pub mod visitors;
pub mod watch;

#[cfg(fuzzing)]
pub use self::watch::dissect::fuzz;
