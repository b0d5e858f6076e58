//! Many servers, one log: an engine whose order NATS JetStream keeps.
//!
//! ```text
//! append ─► publish ─► stream (three NATS servers) ─► acknowledged
//!                        │ one consumer a server
//!                        ▼
//!            follow ─► copy (crates/log) ─► tail ─► subscriptions
//! ```
//! JetStream decides the order and keeps each event until every server has it; each server keeps what it serves. So
//! reading, retention and resuming are local, and go on while NATS is away.

mod audit;
mod bucket;
mod order;
mod peers;

pub use self::order::{JetStreamEngine, OrderError, OrderSettings, without_password};
pub use self::peers::{Answers, Beat, Counts, Lease, Peers, Turn};
