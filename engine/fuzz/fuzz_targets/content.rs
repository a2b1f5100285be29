//! Contents on several channels, interleaved and in pieces.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| leveret_engine::fuzzing::content(data));
