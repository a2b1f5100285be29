//! The broker survives any bytes of a client, and other clients are not affected.

use std::cell::RefCell;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::loopback::tests::client::{Client, start};
use crate::wire::content::write_body_frames;
use crate::wire::frame::{FrameKind, write_frame};
use crate::wire::hot::Publish;
use crate::wire::properties::Properties;

/// Generates frames with a valid envelope and possibly invalid contents.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    let class = prop::sample::select(vec![10u8, 20, 40, 50, 60, 60, 60, 85, 90]);
    let method = prop::sample::select(vec![10u8, 11, 20, 30, 31, 40, 50, 51, 60, 70, 80, 90, 120]);
    let rest = prop_oneof![vec(any::<u8>(), 0..12), vec(0..3u8, 0..24)];
    let odd = (class, method, rest, 0..3u16).prop_map(|(class, method, rest, channel)| {
        let mut out = Vec::new();
        write_frame(&mut out, FrameKind::Method, channel, |out| {
            out.extend_from_slice(&[0, class, 0, method]);
            out.extend_from_slice(&rest);
        });
        out
    });
    let publish = (0..30u64, 0..30usize, any::<bool>()).prop_map(|(announced, sent, mandatory)| {
        let mut out = Vec::new();
        let publish = Publish { routing_key: "q", mandatory, ..Publish::default() };
        publish.encode_frame(1, &mut out);
        Properties::new().encode_frame(1, announced, &mut out);
        write_body_frames(&mut out, 1, &vec![0; sent], 4096);
        out
    });
    let noise = vec(any::<u8>(), 0..40);
    prop_oneof![6 => odd, 3 => publish, 1 => noise]
}

#[test]
fn any_bytes_of_a_client_leave_the_broker_and_other_clients_unharmed() {
    let loopback = start();
    let mut witness = Client::with_channel(loopback.addr());
    witness.declare_queue("witness");
    let witness = RefCell::new(witness);
    let mut runner = TestRunner::new(Config { cases: 200, ..Config::default() });
    let result = runner.run(&vec(frame(), 1..8), |frames| {
        let mut client = Client::with_channel(loopback.addr());
        client.write(&frames.concat());
        // Not dropped at once: a reset would discard the bytes before the broker reads them.
        client.stream.shutdown(std::net::Shutdown::Write).unwrap();
        client.rest();
        let mut witness = witness.borrow_mut();
        witness.publish("", "witness", b"x");
        let body = witness.get("witness", true).map(|message| message.body);
        prop_assert_eq!(body, Some(vec![b'x']));
        Ok(())
    });
    assert_eq!(result, Ok(()));
    // A reader that had panicked would not have disconnected.
    while loopback.stats().connections > 1 {
        std::thread::yield_now();
    }
}
