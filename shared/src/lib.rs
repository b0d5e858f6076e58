//! The types that cross the wire, and the pure maths that both sides use.
//!
//! Read in this order: [`technique`], [`topic`], [`filter`], [`cursor`], [`data`] and [`event`] (what is delivered),
//! [`command`] and [`reply`] (the messages of a WebSocket), [`problem`] (errors), [`session`] and [`backoff`] (how a
//! client resumes), [`heartbeat`] (when a connection counts as dead), [`wire`] (bytes to types and back), [`account`]
//! (what readers report), [`operate`] (the operator's view), [`lab`] (the lab's messages beside the streams),
//! [`measure`] (what the lab and the load generator compute), [`decide`] (which technique to use), [`use_case`] (the
//! messages of the lab's use cases).
//!
//! This crate knows neither side: no server, no browser and no I/O. It reads no clock; time is an argument.

pub mod account;
pub mod backoff;
pub mod command;
pub mod cursor;
pub mod data;
pub mod decide;
pub mod event;
pub mod filter;
pub mod heartbeat;
pub mod lab;
pub mod measure;
pub mod operate;
pub mod problem;
pub mod reply;
pub mod session;
pub mod technique;
pub mod time;
pub mod topic;
pub mod use_case;
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
