//! For whoever operates the server: who reads, what is counted, and how it ends in order.

pub mod connections;
pub mod ledger;
pub mod metrics;
pub mod presence;
pub mod rehearsal;
pub mod roster;
pub mod topics;
pub mod traces;

pub(crate) mod drain;
