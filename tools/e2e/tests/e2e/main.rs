//! The lab and its clients, from outside, in one test binary whose tests run side by side: a real server, a real
//! Chromium, real Node clients. `lab`, `watch`, `breakage`, `compare`, `path` and `use_cases` use the lab as a person
//! does, `access` checks that everybody can use its pages, `client_js` and `clients` read without the lab, `proxies`
//! and `tls` put something in between, `cluster` kills servers that share a log, `docs` runs the commands of the documents, `api` asks everything that the
//! description allows.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    unreachable_pub,
    reason = "a test fails by panicking"
)]

mod access;
mod api;
mod breakage;
mod client_js;
mod clients;
mod cluster;
mod compare;
mod compression;
mod cut_off;
mod docs;
mod endurance;
mod engines;
mod honest;
mod keyboard;
mod lab;
mod libraries;
mod monkey;
mod operate;
mod path;
mod proxies;
mod restarts;
mod tls;
mod use_cases;
mod watch;
