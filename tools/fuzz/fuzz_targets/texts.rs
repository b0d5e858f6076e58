//! Fuzzes edits of the text that all visitors of a page write together.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| fourways::fuzzing::texts(bytes));
