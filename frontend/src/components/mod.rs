//! Components draw: data in, callbacks out. They open no connections, and only the theme switch in `header` stores
//! anything.

pub(crate) mod anatomy;
pub(crate) mod banner;
pub(crate) mod change;
pub(crate) mod chart;
pub(crate) mod code_card;
pub(crate) mod confirm;
pub(crate) mod dynamic;
pub(crate) mod event_list;
pub(crate) mod header;
pub(crate) mod icon;
pub(crate) mod inspector;
pub(crate) mod nav;
pub(crate) mod rows;
pub(crate) mod segments;
pub(crate) mod sequence;
pub(crate) mod slider;
pub(crate) mod strip;
