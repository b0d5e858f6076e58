//! RFC 6455: bytes of a client, in pieces; the first byte says how long those are.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| fourways::fuzzing::frames(bytes));
