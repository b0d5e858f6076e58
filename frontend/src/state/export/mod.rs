//! The wire for other tools: a HAR, lines of JSON, a command line; and bytes laid out for people.
//!
//! Whatever leaves the page goes through [`secrets::shareable`] first.

pub(crate) mod curl;
mod date;
mod exchange;
pub(crate) mod har;
mod head;
pub(crate) mod hex;
pub(crate) mod json;
mod messages;
pub(crate) mod ndjson;
mod secrets;

pub(crate) use date::iso;

#[cfg(test)]
mod example;
