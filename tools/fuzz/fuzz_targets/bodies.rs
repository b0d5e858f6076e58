//! Bodies of publishes, by every content type; reports; feeds; the first byte says which.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| fourways::fuzzing::bodies(bytes));
