//! What draws: data in, callbacks out; no connection, no storage.

pub(crate) mod code_card;
pub(crate) mod dynamic;
pub(crate) mod event_list;
pub(crate) mod header;
pub(crate) mod icon;
pub(crate) mod segments;
pub(crate) mod slider;
pub(crate) mod strip;
pub(crate) mod tabs;
pub(crate) mod wire_table;
