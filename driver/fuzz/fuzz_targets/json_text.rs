//! JSON text, as a value and as the members of a message.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| leveret::fuzzing::json_text(data));
