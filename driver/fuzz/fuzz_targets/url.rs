//! A transport URL.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| leveret::fuzzing::url(data));
