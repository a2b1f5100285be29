//! A hostile broker after the handshake, between requests of the user.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| leveret_engine::fuzzing::proto(data));
