//! A value of msgpack.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| leveret::fuzzing::msgpack(data));
