//! Fuzzes the commands that a client sends over a WebSocket, as JSON and as CBOR, and a client's parser of the replies.
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

/// Checks that an accepted command can be written as JSON, and is the same when that is read.
fn again(command: &Command) {
    let text = command.to_json(None);
    let (read, _) = Command::from_json(&text).expect("an accepted command can be written and read");
    assert_eq!(read.to_json(None), text);
}
