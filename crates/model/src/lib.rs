//! The lab's state and calculations in plain structs, without signals and without a browser: records of the streams
//! come in, and views for the pages go out.

#![allow(
    missing_docs,
    reason = "only the app uses this crate: a field whose name and type say everything has no comment"
)]

pub mod axis;
pub mod breakage;
pub mod budget;
pub mod chart;
pub mod constants;
pub mod experiment;
pub mod export;
pub mod feed;
pub mod format;
pub mod health;
pub mod held;
pub mod highlight;
pub mod journey;
pub mod lane;
pub mod operate;
pub mod path;
pub mod record;
pub mod row;
pub mod sequence;
pub mod snippets;
pub mod tally;
pub mod wire;
