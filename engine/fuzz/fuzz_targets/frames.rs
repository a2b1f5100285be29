//! A stream of frames, whole and in pieces.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| leveret_engine::fuzzing::frames(data));
