//! Measurements that the lab and the load generator compute from what they received. Pure: time is an argument.

mod clock_offset;
mod ledger;
mod percentiles;

pub use clock_offset::{ClockOffset, ClockSample};
pub use ledger::Ledger;
pub use percentiles::Percentiles;
