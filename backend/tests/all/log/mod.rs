//! The log: its laws against a model, the rules for readers that lag, by any clock, and what the disk keeps over restarts and damage.

mod clocks;
mod costs;
mod disk;
mod failing;
mod faults;
mod lag;
mod laws;
mod sim;
