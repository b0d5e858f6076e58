//! The log's files, damaged: whatever is in them, a log opens, and reads give events that were published or say what is lost.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fourways_log::engine::segments(bytes));
