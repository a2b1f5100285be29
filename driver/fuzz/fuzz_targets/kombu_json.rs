//! A body in the format of the `rabbit` driver: requests, replies and notifications.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| leveret::fuzzing::kombu_json(data));
