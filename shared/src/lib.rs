//! What both sides of the wire say, and the pure maths that both use.
//!
//! Read in this order: [`technique`], [`topic`], [`filter`], [`cursor`], [`event`] (what is delivered), [`command`] and [`reply`]
//! (what a WebSocket says), [`problem`] (what went wrong), [`session`] (how a client resumes), [`heartbeat`] (when a connection is dead), [`wire`] (bytes to types
//! and back), [`account`] (what readers report), [`lab`] (what the lab says beside the streams), [`measure`] (what it computes), [`decide`] (which technique
//! to use), [`feature`] (what the nine features of the lab say to each other).
//!
//! This crate knows neither side: no server, no browser, no I/O, and it reads no clock; time is an argument.

pub mod account;
pub mod backoff;
pub mod command;
pub mod cursor;
pub mod data;
pub mod decide;
pub mod event;
pub mod feature;
pub mod filter;
pub mod heartbeat;
pub mod lab;
pub mod measure;
pub mod operate;
pub mod problem;
pub mod reply;
pub mod session;
pub mod technique;
pub mod topic;
pub mod wire;

pub use command::{Command, Policy, Ref};
pub use cursor::{After, Cursor, Epoch, Offset};
pub use data::Data;
pub use event::{Event, EventId, EventName, PollBody, Reset, ResetReason, ResetTag};
pub use filter::Filter;
pub use problem::{Advice, Code, Problem};
pub use reply::Reply;
pub use technique::Technique;
pub use topic::Topic;
