//! Fuzzes the log's segment files: with any content the log opens, and reads return offsets that rise.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fourways_log::engine::segments(bytes));
