//! The content of a field table.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| leveret_engine::fuzzing::tables(data));
