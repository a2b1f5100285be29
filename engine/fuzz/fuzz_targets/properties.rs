//! The payload of a content header.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| leveret_engine::fuzzing::properties(data));
