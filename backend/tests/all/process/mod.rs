//! Tests that run the `fourways` command as a process of its own.

mod command;
mod drain;
mod full;
mod kill;
mod pipe;
mod soak;
