//! Browser bindings that open no connections: clock, frames, storage, drawing.

pub(crate) mod canvas;
pub(crate) mod clock;
pub(crate) mod frame;
pub(crate) mod page;
pub(crate) mod picture;
pub(crate) mod resize;
pub(crate) mod tabs;
pub(crate) mod task;
pub(crate) mod timer;
pub(crate) mod wake;
