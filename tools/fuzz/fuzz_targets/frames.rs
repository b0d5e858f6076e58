//! Fuzzes the parser of a client's WebSocket frames (RFC 6455), in pieces whose length is the first byte.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| fourways::fuzzing::frames(bytes));
