//! The protocol between a page of the lab and the server, beside the four techniques: the id of the page, the records
//! of what was on the wire, and the faults that the page wants for its own connections.

mod channel;
mod fault;
mod id;
mod wire;

pub use channel::{Active, LabCommand, LabNews};
pub use fault::{Fault, FaultKind};
pub use id::{LabId, Tag, TagError};
pub use wire::{Class, Counts, Part, RecordsError, Split, Unit, WireRecord, read_records, write_records};
