//! Fuzzes the lab's reading of a visitor's connections, HTTP/1.1 and HTTP/2, in pieces: no byte is counted twice.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| fourways::fuzzing::dissect(bytes));
