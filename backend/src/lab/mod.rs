//! What only the lab asks for; a push server works without.

pub mod about;
pub mod channel;
pub mod clock;
pub mod feed;
pub mod tap;
pub mod visitors;

mod dissect;
mod meter;
mod pipe;

#[cfg(fuzzing)]
pub use self::dissect::fuzz;
