//! Operation of the server: lists of connections, topics and subjects, metrics, traces, the delivery ledger, and an
//! orderly shutdown.

pub mod connections;
pub mod ledger;
pub mod metrics;
pub mod node_list;
pub mod nodes;
pub mod presence;
pub mod rehearsal;
pub mod roster;
pub mod topics;
pub mod traces;

pub(crate) mod cut_off;
pub(crate) mod drain;
pub(crate) mod interest;
