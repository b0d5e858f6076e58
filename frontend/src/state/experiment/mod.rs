//! The comparison: what a run is asked to do, what it measured, the textbook beside it, and what is made of it.

pub(crate) mod claims;
pub(crate) mod pictures;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod settings;
