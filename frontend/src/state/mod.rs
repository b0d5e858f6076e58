//! What the lab knows, in plain structs: no signal, no browser. Records come in, views go out.

pub(crate) mod axis;
pub(crate) mod breakage;
pub(crate) mod budget;
pub(crate) mod chart;
pub(crate) mod constants;
pub(crate) mod experiment;
pub(crate) mod export;
pub(crate) mod feed;
pub(crate) mod format;
pub(crate) mod held;
pub(crate) mod highlight;
pub(crate) mod journey;
pub(crate) mod lane;
pub(crate) mod operate;
pub(crate) mod path;
pub(crate) mod record;
pub(crate) mod row;
pub(crate) mod sequence;
pub(crate) mod snippets;
pub(crate) mod tally;
pub(crate) mod wire;
