//! What the lab's page and the server say to each other beside the four streams: who the page is, what was on the wire,
//! and which faults it wants for itself.

mod channel;
mod fault;
mod id;
mod wire;

pub use channel::{Active, LabCommand, LabNews};
pub use fault::{Fault, FaultKind};
pub use id::{LabId, Tag, TagError};
pub use wire::{Class, Counts, Part, RecordsError, Split, Unit, WireRecord, read_records, write_records};
