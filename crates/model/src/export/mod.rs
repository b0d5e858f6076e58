//! The wire for other tools: a HAR, lines of JSON, a command line; and bytes laid out for people.
//!
//! Everything that leaves the page goes through `secrets` first.

pub mod curl;
mod date;
mod exchange;
pub mod har;
mod head;
pub mod hex;
pub mod json;
mod messages;
pub mod ndjson;
mod secrets;

pub use date::iso;

#[cfg(test)]
mod example;
