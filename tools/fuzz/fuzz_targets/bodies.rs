//! Fuzzes the parsers of request bodies: publishes, parameters of a read, reports and feeds. The first byte selects the
//! content type of the publish.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| fourways::fuzzing::bodies(bytes));
