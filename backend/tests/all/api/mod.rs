//! Tests of the server over real sockets, as its clients see it.
//!
//! The wire: `contract` (line by line), `over` (the same over TLS and HTTP/2), `openapi`, `frames` (RFC 6455),
//! `compression`, `tls`, `http2`, `h2spec` (an outside judge of HTTP/2), `bad_input`, `attack`. Delivery: `resume`,
//! `history`, `leaving` and `dead` (connections of clients that are gone are freed), `presence`. Access: `access`
//! (tokens), `origin` (pages), `limits`. Operation: `roster` (open connections), `rehearsal`, `ledger`, `metrics`. The
//! lab: `lab` (counts and faults), `app` (files). `check` runs `fourways check` behind a real nginx.

pub(crate) mod access;
mod app;
mod attack;
mod bad_input;
mod check;
mod compression;
mod contract;
mod dead;
mod frames;
mod h2spec;
mod history;
mod http2;
mod lab;
mod leaving;
mod ledger;
mod limits;
mod metrics;
mod openapi;
mod origin;
mod over;
mod presence;
mod rehearsal;
mod resume;
mod roster;
mod tls;
