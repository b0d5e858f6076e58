//! The query of every read.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| fourways::fuzzing::query(text));
