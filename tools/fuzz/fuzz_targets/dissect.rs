//! What the lab reads of every connection of a visitor, HTTP/1.1 and HTTP/2, in pieces: no byte is lost or counted twice.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| fourways::fuzzing::dissect(bytes));
