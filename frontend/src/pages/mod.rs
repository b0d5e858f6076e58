//! The pages: they hold the state in signals, own the streams, and put components together.

pub(crate) mod address;
pub(crate) mod budget;
pub(crate) mod compare;
pub(crate) mod decide;
pub(crate) mod lanes;
pub(crate) mod operate;
pub(crate) mod overview;
pub(crate) mod path;
pub(crate) mod session;
pub(crate) mod technique;
pub(crate) mod use_cases;
