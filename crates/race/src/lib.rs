//! The log of the server, compiled once more with the locks of the model checker `shuttle` in place of the standard
//! library's, and nothing else of the server. `tests/race.rs` holds it to its promises.

pub mod log {
    //! The server's `log`, file by file, but for its locks.

    #[path = "../../../../backend/src/log/encoding/mod.rs"]
    pub mod encoding;
    #[expect(dead_code, reason = "parts that only the rest of the server uses")]
    #[path = "../../../../backend/src/log/engine/mod.rs"]
    pub mod engine;
    #[expect(dead_code, reason = "parts that only the rest of the server uses")]
    #[path = "../../../../backend/src/log/subscription/mod.rs"]
    pub mod subscription;

    mod sync;
}
