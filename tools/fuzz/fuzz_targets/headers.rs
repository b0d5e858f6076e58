//! Fuzzes the parsers of header fields: one line of the input for each of `fourways::fuzzing::HEADERS`, in that order.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| fourways::fuzzing::headers(bytes));
