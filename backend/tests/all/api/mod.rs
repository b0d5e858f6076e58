//! The server as its clients meet it, over real sockets.
//!
//! `access` holds who gets in, `origin` by which pages, `presence` who is there, `limits` how much of it, `history` what
//! a cache may keep, `contract` the wire contract line by line, `bad_input` what is refused and how, `attack` what a
//! hostile client sends, `resume` what every technique promises, `frames` the rules of RFC 6455, `leaving` and `dead`
//! that nobody is kept, `lab` what the lab counts and breaks, `check` what `fourways check` finds behind a real nginx,
//! `tls` what is spoken inside TLS, `http2` its streams, `h2spec` what an
//! outside judge says of them, `app` the files of the lab.

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
