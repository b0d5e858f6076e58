//! Fuzzes the parser of a read's query, and checks that an accepted query keeps to the limits.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| fourways::fuzzing::query(text));
