//! Tests of every scripted fault, as a client sees it.

use std::io::{ErrorKind, Read};
use std::time::Duration;

use amq_protocol::protocol::{AMQPClass, connection, queue};

use crate::loopback::config::{LoopbackConfig, Script};
use crate::loopback::server::Loopback;
use crate::loopback::tests::client::{Client, start};
use crate::wire::error::WireError;
use crate::wire::frame::{FrameKind, PROTOCOL_HEADER};
use crate::wire::hot::HotMethod;
use crate::wire::print::print;

fn expect_silence(client: &mut Client) {
    client.stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let error = client.stream.read(&mut [0; 16]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
}

#[test]
fn a_broker_can_be_silent_from_the_start_or_after_some_frames() {
    let loopback = start();
    loopback.script(|script| script.silent_after_frames = Some(0));
    let mut client = Client::raw(loopback.addr());
    client.write(&PROTOCOL_HEADER);
    expect_silence(&mut client);

    loopback.script(|script| script.silent_after_frames = Some(4));
    // start-ok, tune-ok, open, channel.open
    let mut client = Client::with_channel(loopback.addr());
    client.send_queue(queue::AMQPMethod::Declare(queue::Declare::default()));
    expect_silence(&mut client);
}

#[test]
fn a_scripted_greeting_replaces_start() {
    let script = Script { greeting: Some(b"HELO".to_vec()), ..Script::default() };
    let config = LoopbackConfig { script, ..LoopbackConfig::default() };
    let loopback = Loopback::start(config).unwrap();
    let mut client = Client::raw(loopback.addr());
    client.write(&PROTOCOL_HEADER);
    let mut greeting = [0; 4];
    client.stream.read_exact(&mut greeting).unwrap();
    assert_eq!(&greeting, b"HELO");
}

#[test]
fn each_response_is_delayed() {
    let loopback = start();
    let mut client = Client::with_channel(loopback.addr());
    let delay = Duration::from_millis(30);
    loopback.script(|script| script.delay = delay);
    let before = crate::loopback::clock::now();
    client.declare_queue("q");
    assert!(before.elapsed() >= delay);
}

#[test]
fn each_faulty_frame_has_exactly_the_requested_fault() {
    type Fault = fn(&Loopback);
    let faults: [(Fault, &str); 4] = [
        (Loopback::send_garbage, "no frame: a frame starts with octet 0x48"),
        (Loopback::send_bad_frame_end, "ends with octet 0x31"),
        (Loopback::send_unknown_method, "class 10 has no method 999"),
        (Loopback::send_oversized_frame, "body of 131065 bytes"),
    ];
    for (fault, expected) in faults {
        let loopback = start();
        let mut client = Client::with_channel(loopback.addr());
        fault(&loopback);
        client.read_until(|bytes| print(bytes).contains(expected));
    }
    let frame = [3, 0, 1, 0, 1, 0xff, 0xf9];
    let header = crate::wire::FrameHeader::parse(&frame).unwrap().unwrap();
    let too_large = WireError::FrameTooLarge { size: 131_073, max: 131_072 };
    assert_eq!(header.check(131_072), Err(too_large));
}

#[test]
fn blocked_and_unblocked_are_sent_and_publishers_are_not_read_meanwhile() {
    let loopback = start();
    let mut client = Client::with_channel(loopback.addr());
    client.declare_queue("q");
    loopback.block_publishers("low on memory");
    let blocked = |reason: &str| {
        let blocked = connection::Blocked { reason: reason.into() };
        AMQPClass::Connection(connection::AMQPMethod::Blocked(blocked))
    };
    assert_eq!(client.method(0), blocked("low on memory"));
    let mut late = Client::connect_while_blocked(loopback.addr());
    assert_eq!(late.method(0), blocked("low on memory"));

    client.publish("", "q", b"x");
    while loopback.stats().published == 0 {
        std::thread::yield_now();
    }
    client.send_queue(queue::AMQPMethod::Declare(queue::Declare::default()));
    expect_silence(&mut client);
    loopback.unblock_publishers();
    client.stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let unblocked = connection::AMQPMethod::Unblocked(connection::Unblocked {});
    assert_eq!(client.method(0), AMQPClass::Connection(unblocked));
    assert!(matches!(client.method(1), AMQPClass::Queue(queue::AMQPMethod::DeclareOk(_))));
}

impl Client {
    /// Opens a connection whose next frame is `blocked`.
    fn connect_while_blocked(addr: std::net::SocketAddr) -> Self {
        Self::connect(addr)
    }
}

#[test]
fn a_named_declaration_is_refused() {
    let loopback = start();
    loopback.refuse_declare("q", 404, "NOT_FOUND - home node is down");
    loopback.refuse_declare("broken", 541, "INTERNAL_ERROR - oops");
    let mut client = Client::with_channel(loopback.addr());
    let declare = |name: &str| {
        let queue = name.into();
        queue::AMQPMethod::Declare(queue::Declare { queue, ..queue::Declare::default() })
    };
    client.send_queue(declare("q"));
    let refusal = client.expect_channel_close(1);
    assert_eq!(refusal, (404, "NOT_FOUND - home node is down".to_owned()));
    client.open_channel(1);
    client.declare_queue("other");
    client.send_queue(declare("broken"));
    assert_eq!(client.expect_connection_close().0, 541);
    loopback.script(|script| script.refused_declares.clear());
    Client::with_channel(loopback.addr()).declare_queue("broken");
}

#[test]
fn publications_are_nacked_or_never_confirmed() {
    let loopback = start();
    let mut client = Client::with_channel(loopback.addr());
    client.confirm_select();
    client.declare_queue("q");
    loopback.script(|script| script.nack_publishes = true);
    client.publish("", "q", b"x");
    let frame = client.frame();
    let Ok(Some(HotMethod::Nack(nack))) = HotMethod::parse(&frame.payload) else {
        panic!("expected a nack");
    };
    assert_eq!((nack.delivery_tag, frame.kind), (1, FrameKind::Method));
    assert_eq!(loopback.queue_len("/", "q"), Some(0));
    loopback.script(|script| {
        script.nack_publishes = false;
        script.withhold_confirms = true;
    });
    client.publish("", "q", b"x");
    assert_eq!(client.get("q", true).unwrap().body, b"x", "no confirm came before");
}

#[test]
fn connections_and_channels_can_be_closed_and_connections_cut() {
    let loopback = start();
    let mut client = Client::with_channel(loopback.addr());
    loopback.close_channels(406, "PRECONDITION_FAILED - as told");
    let refusal = client.expect_channel_close(1);
    assert_eq!(refusal, (406, "PRECONDITION_FAILED - as told".to_owned()));
    client.open_channel(1);
    loopback.close_connections(320, "CONNECTION_FORCED - shutdown");
    let refusal = client.expect_connection_close();
    assert_eq!(refusal, (320, "CONNECTION_FORCED - shutdown".to_owned()));
    client.expect_end();
    let mut client = Client::with_channel(loopback.addr());
    loopback.drop_connections();
    client.expect_end();
    Client::with_channel(loopback.addr()).declare_queue("q");
}

#[test]
fn a_changed_frame_size_applies_to_later_connections() {
    let loopback = start();
    loopback.set_frame_max(8192);
    assert_eq!(Client::with_channel(loopback.addr()).frame_max, 8192);
}
