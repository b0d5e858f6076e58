//! What a client says over a WebSocket, as JSON and as CBOR, and what a client reads of the answers.
#![no_main]

use fourways_shared::{Command, Reply};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok((command, _)) = Command::from_cbor(bytes) {
        again(&command);
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok((command, _)) = Command::from_json(text) {
        again(&command);
    }
    drop(Reply::from_json(text));
});

/// What was taken can be said, and is the same then.
fn again(command: &Command) {
    let text = command.to_json(None);
    let (read, _) = Command::from_json(&text).expect("a command that was taken can be said");
    assert_eq!(read.to_json(None), text);
}
