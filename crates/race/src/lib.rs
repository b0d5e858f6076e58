//! The crate `fourways-log`, compiled a second time with the locks of the model checker `shuttle` in place of the
//! standard library's. `tests/race.rs` checks the log's promises in every interleaving that the checker chooses.

#[path = "../../log/src/encoding/mod.rs"]
pub mod encoding;
#[path = "../../log/src/engine/mod.rs"]
pub mod engine;
#[path = "../../log/src/subscription/mod.rs"]
pub mod subscription;

mod sync;
