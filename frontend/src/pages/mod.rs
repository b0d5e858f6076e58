//! The pages: state in signals, streams they own, components put together.

pub(crate) mod address;
pub(crate) mod compare;
pub(crate) mod health;
pub(crate) mod lab;
pub(crate) mod overview;
pub(crate) mod streams;
pub(crate) mod technique;
