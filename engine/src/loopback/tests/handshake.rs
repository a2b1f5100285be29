//! Opening, refusing and closing connections and channels.

use amq_protocol::protocol::{AMQPClass, channel, connection};

use crate::loopback::config::LoopbackConfig;
use crate::loopback::server::Loopback;
use crate::loopback::tests::client::{Client, start};
use crate::wire::frame::{FrameKind, HEARTBEAT_FRAME, PROTOCOL_HEADER};

#[test]
fn plain_and_amqplain_open_a_connection() {
    let loopback = start();
    let amqplain = b"\x05LOGINS\x00\x00\x00\x05guest\x08PASSWORDS\x00\x00\x00\x05guest";
    for (mechanism, response) in [("PLAIN", &b"\0guest\0guest"[..]), ("AMQPLAIN", amqplain)] {
        let mut client = Client::raw(loopback.addr());
        client.start(mechanism, response);
        client.tune(0);
        client.open("/");
        client.expect_connection_open();
    }
}

#[test]
fn a_wrong_password_is_refused_with_403() {
    let loopback = start();
    for response in [&b"\0guest\0wrong"[..], b"\0nobody\0guest", b"guest", b""] {
        let mut client = Client::raw(loopback.addr());
        client.start("PLAIN", response);
        let (code, text) = client.expect_connection_close();
        assert_eq!(code, 403);
        assert!(text.starts_with("ACCESS_REFUSED - Login was refused"), "{text}");
        client.expect_end();
    }
    let config = LoopbackConfig { check_login: false, ..LoopbackConfig::default() };
    let trusting = Loopback::start(config).unwrap();
    let mut client = Client::raw(trusting.addr());
    client.start("PLAIN", b"\0nobody\0anything");
    client.tune(0);
}

#[test]
fn virtual_hosts_are_separate_and_unknown_ones_are_refused() {
    let config = LoopbackConfig { vhosts: vec!["other".to_owned()], ..LoopbackConfig::default() };
    let loopback = Loopback::start(config).unwrap();
    Client::with_channel(loopback.addr()).declare_queue("q");
    let mut client = Client::raw(loopback.addr());
    client.start("PLAIN", b"\0guest\0guest");
    client.tune(0);
    client.open("other");
    client.expect_connection_open();
    assert_eq!(loopback.queue_len("/", "q"), Some(0));
    assert_eq!(loopback.queue_len("other", "q"), None);

    let mut client = Client::raw(loopback.addr());
    client.start("PLAIN", b"\0guest\0guest");
    client.tune(0);
    client.open("nowhere");
    let (code, text) = client.expect_connection_close();
    assert_eq!((code, text.as_str()), (530, "NOT_ALLOWED - vhost nowhere not found"));
}

#[test]
fn a_client_of_another_protocol_gets_the_supported_header_and_the_end_of_the_stream() {
    let loopback = start();
    for header in [&b"AMQP\x00\x01\x00\x00"[..], b"GET / HTTP/1.1\r\n\r\n"] {
        let mut client = Client::raw(loopback.addr());
        client.write(header);
        assert_eq!(client.rest(), PROTOCOL_HEADER);
    }
}

#[test]
fn the_tuned_frame_size_limits_both_directions() {
    let config = LoopbackConfig { frame_max: 4096, ..LoopbackConfig::default() };
    let loopback = Loopback::start(config).unwrap();
    let mut client = Client::with_channel(loopback.addr());
    assert_eq!(client.frame_max, 4096);
    client.declare_queue("q");
    let body: Vec<u8> = (0..=255).cycle().take(10_000).collect();
    client.publish("", "q", &body);
    assert_eq!(client.get("q", true).unwrap().body, body);

    client.write(&[3, 0, 1, 0, 0, 16, 0]);
    let (code, _) = client.expect_connection_close();
    assert_eq!(code, 501);
    client.expect_end();
}

#[test]
fn bytes_that_are_no_frame_close_the_connection_with_501() {
    let loopback = start();
    let mut client = Client::with_channel(loopback.addr());
    client.write(b"garbage");
    assert_eq!(client.expect_connection_close().0, 501);
    client.expect_end();
    let mut client = Client::with_channel(loopback.addr());
    client.write(&[8, 0, 0, 0, 0, 0, 0, 0xcf]);
    assert_eq!(client.expect_connection_close().0, 501);
}

#[test]
fn a_close_is_answered_and_then_the_stream_ends() {
    let loopback = start();
    let mut client = Client::with_channel(loopback.addr());
    client.send(1, AMQPClass::Channel(channel::AMQPMethod::Close(channel::Close::default())));
    let ok = channel::AMQPMethod::CloseOk(channel::CloseOk {});
    assert_eq!(client.method(1), AMQPClass::Channel(ok));
    client.open_channel(1);
    let close = connection::AMQPMethod::Close(connection::Close::default());
    client.send(0, AMQPClass::Connection(close));
    let ok = connection::AMQPMethod::CloseOk(connection::CloseOk {});
    assert_eq!(client.method(0), AMQPClass::Connection(ok));
    client.expect_end();
}

#[test]
fn methods_and_frames_in_the_wrong_state_are_refused() {
    let loopback = start();
    let mut client = Client::connect(loopback.addr());
    client.send(7, AMQPClass::Channel(channel::AMQPMethod::Flow(channel::Flow { active: true })));
    assert_eq!(client.expect_connection_close().0, 504);

    let mut client = Client::with_channel(loopback.addr());
    client.send(1, AMQPClass::Channel(channel::AMQPMethod::Open(channel::Open {})));
    assert_eq!(client.expect_connection_close().0, 504);

    let mut client = Client::with_channel(loopback.addr());
    client.write(&[3, 0, 1, 0, 0, 0, 1, b'x', 0xce]);
    assert_eq!(client.expect_connection_close().0, 505);

    let mut client = Client::connect(loopback.addr());
    client.write(&[1, 0, 0, 0, 0, 0, 4, 0, 99, 0, 1, 0xce]);
    assert_eq!(client.expect_connection_close().0, 540);
}

#[test]
fn heartbeats_are_sent_and_missing_ones_end_the_connection() {
    let loopback = start();
    let mut client = Client::raw(loopback.addr());
    client.start("PLAIN", b"\0guest\0guest");
    client.tune(1);
    client.open("/");
    client.expect_connection_open();
    // The client sends nothing: heartbeats arrive until the broker has missed two of the client's.
    let mut heartbeats = 0;
    while let Some(frame) = client.try_frame() {
        assert_eq!((frame.kind, frame.channel), (FrameKind::Heartbeat, 0));
        heartbeats += 1;
    }
    assert!(heartbeats >= 1);
}

#[test]
fn a_heartbeat_of_a_client_changes_nothing() {
    let loopback = start();
    let mut client = Client::with_channel(loopback.addr());
    client.write(&HEARTBEAT_FRAME);
    client.declare_queue("q");
}

#[test]
fn stopping_frees_the_port_and_cuts_clients() {
    let loopback = start();
    let addr = loopback.addr();
    let mut client = Client::with_channel(addr);
    loopback.stop();
    client.expect_end();
    let config = LoopbackConfig { port: addr.port(), ..LoopbackConfig::default() };
    let again = Loopback::start(config).unwrap();
    assert_eq!(again.addr(), addr);
    Client::with_channel(addr).declare_queue("q");
}
