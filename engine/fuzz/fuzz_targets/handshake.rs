//! A hostile broker during the handshake.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| leveret_engine::fuzzing::handshake(data));
