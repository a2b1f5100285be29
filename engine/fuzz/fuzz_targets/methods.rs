//! The payload of a method frame.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| leveret_engine::fuzzing::methods(data));
