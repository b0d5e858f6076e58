//! Header fields that the server reads: one line each, in the order of `fourways::fuzzing::HEADERS`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| fourways::fuzzing::headers(bytes));
