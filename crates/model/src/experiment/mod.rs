//! The comparison: the settings of a run, its measurements, the textbook's claims beside them, and the charts and
//! reports made of them.

pub mod claims;
pub mod columns;
pub mod pictures;
pub mod report;
pub mod run;
pub mod settings;
