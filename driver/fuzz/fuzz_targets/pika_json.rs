//! A body of JSON in the format of the `pika` driver.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| leveret::fuzzing::pika_json(data));
