//! Peers that are no AMQP broker, and handshakes that fail.

use std::time::Duration;

use amq_protocol::protocol::{AMQPClass, connection};
use leveret_engine::loopback::{Loopback, LoopbackConfig};
use leveret_engine::wire::{FrameKind, write_frame};
use leveret_engine::{ConnectionConfig, Error, ErrorKind};

use crate::connection::scenario::{channel_ok, connect_error, peer_that_sends};
use crate::support::peer::{Peer, frame, on_connection, open_ok, peer, start, tune};
use crate::support::setup::{WAIT, config_of};

fn with_short_handshake(mut config: ConnectionConfig) -> ConnectionConfig {
    config.handshake_timeout = Duration::from_millis(300);
    config
}

#[test]
fn a_tls_port_is_recognised_by_its_alert() {
    let error = connect_error(peer_that_sends(b"\x15\x03\x03\x00\x02\x02\x16"));
    assert_eq!(error.kind(), ErrorKind::NotAmqp);
    assert!(error.to_string().contains("TLS"), "{error}");
}

#[test]
fn the_error_quotes_the_greeting_of_another_server() {
    let http = peer_that_sends(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
    let ssh = peer(|peer| {
        peer.send(b"SSH-2.0-OpenSSH_9.6\r\n");
        peer.wait_for_end();
    });
    for (config, word) in [(http, "HTTP/1.1 400"), (ssh, "SSH-2.0-OpenSSH")] {
        let error = connect_error(config);
        assert_eq!(error.kind(), ErrorKind::NotAmqp);
        assert!(error.to_string().contains(word), "{error}");
    }
}

#[test]
fn the_error_names_another_version_of_amqp() {
    let error = connect_error(peer_that_sends(b"AMQP\x00\x01\x00\x00"));
    assert_eq!(error.kind(), ErrorKind::NotAmqp);
    assert!(error.to_string().contains("1-0-0"), "{error}");
}

#[test]
fn silence_in_the_handshake_ends_with_its_deadline() {
    let silent = peer(Peer::wait_for_end);
    let half = peer(|peer| {
        peer.read_header();
        peer.send(&start());
        peer.wait_for_end();
    });
    for config in [silent, half] {
        let error = connect_error(with_short_handshake(config));
        assert_eq!(error.kind(), ErrorKind::Unreachable);
        assert!(error.to_string().contains("handshake"), "{error}");
    }
}

#[test]
fn a_handshake_may_be_cut_at_every_step() {
    fn steps(peer: &mut Peer, last: usize) {
        let says = [Vec::new(), start(), tune(), open_ok()];
        for (step, bytes) in says.iter().enumerate() {
            if step == last / 2 {
                // On odd steps, stop in the middle of a frame.
                peer.send(&bytes[..if last % 2 == 1 { bytes.len() / 2 } else { 0 }]);
                return;
            }
            peer.send(bytes);
            match step {
                0 => peer.read_header(),
                2 => assert!(peer.read_method().is_some() && peer.read_method().is_some()),
                _ => assert!(peer.read_method().is_some()),
            }
        }
    }
    for last in [0, 2, 3, 4, 5, 6, 7] {
        let error = connect_error(peer(move |peer| steps(peer, last)));
        assert_eq!(error.kind(), ErrorKind::ConnectionClosed, "after {last} half steps: {error}");
    }
}

#[test]
fn a_close_in_the_handshake_keeps_code_and_text_and_is_answered() {
    let (told, heard) = std::sync::mpsc::channel();
    let config = peer(move |peer| {
        peer.read_header();
        peer.send(&start());
        peer.read_method();
        peer.send(&on_connection(connection::AMQPMethod::Close(connection::Close {
            reply_code: 541,
            reply_text: "INTERNAL_ERROR - not today".into(),
            class_id: 0,
            method_id: 0,
        })));
        told.send(peer.read_method()).unwrap();
    });
    let error = connect_error(config);
    assert_eq!((error.kind(), error.reply_code()), (ErrorKind::ConnectionClosed, Some(541)));
    assert!(error.to_string().contains("not today"), "{error}");
    let (channel, answer) = heard.recv_timeout(WAIT).unwrap().expect("close-ok");
    assert_eq!(channel, 0);
    let close_ok = connection::AMQPMethod::CloseOk(connection::CloseOk {});
    assert_eq!(answer, AMQPClass::Connection(close_ok));
}

fn connect_error_after(bytes: Vec<u8>) -> Error {
    let config = LoopbackConfig::default();
    let peer = Loopback::start(config).unwrap();
    peer.script(|script| script.greeting = Some(bytes));
    connect_error(config_of(&peer))
}

/// Creates `connection.start` with these bytes as server properties.
fn start_with(table: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write_frame(&mut out, FrameKind::Method, 0, |out| {
        out.extend_from_slice(&[0, 10, 0, 10, 0, 9]);
        out.extend_from_slice(table);
        out.extend_from_slice(b"\x00\x00\x00\x05PLAIN\x00\x00\x00\x05en_US");
    });
    out
}

#[test]
fn a_table_nested_too_deep_is_refused() {
    fn nested(depth: usize) -> Vec<u8> {
        let inner = if depth == 0 { Vec::new() } else { nested(depth - 1) };
        let field = if depth == 0 { Vec::new() } else { [b"\x01aF".as_slice(), &inner].concat() };
        [(field.len() as u32).to_be_bytes().as_slice(), &field].concat()
    }
    let error = connect_error_after(start_with(&nested(5000)));
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert!(error.to_string().contains("deep"), "{error}");
}

#[test]
fn lengths_beyond_the_frame_are_refused() {
    for table in [
        b"\xFF\xFF\xFF\xFF".as_slice(),              // -1, read as signed
        b"\x80\x00\x00\x00",                         // the most negative one
        b"\x00\x00\x00\x09\x01aS\xFF\xFF\xFF\xFE..", // a string in it
        b"\x00\x00\x00\x05\xFF....",                 // a key in it
    ] {
        assert_eq!(connect_error_after(start_with(table)).kind(), ErrorKind::Protocol, "{table:?}");
    }
    let huge_frame = b"\x01\x00\x00\xFF\xFF\xFF\xFF\x00\x0A\x00\x0A".to_vec();
    assert_eq!(connect_error_after(huge_frame).kind(), ErrorKind::Protocol);
}

#[test]
fn frames_in_the_wrong_state_are_refused_in_the_handshake() {
    for bytes in [tune(), open_ok()] {
        assert_eq!(connect_error_after(bytes).kind(), ErrorKind::Protocol);
    }
    // No AMQP broker begins like this, so the peer is not one.
    let on_channel_one = frame(1, AMQPClass::Channel(channel_ok()));
    for bytes in [on_channel_one, leveret_engine::wire::HEARTBEAT_FRAME.to_vec()] {
        assert_eq!(connect_error_after(bytes).kind(), ErrorKind::NotAmqp);
    }
}
