//! Peers that send faster than they read.

use std::time::Instant;

use amq_protocol::protocol::{AMQPClass, basic, confirm, connection};
use leveret_engine::{ChannelOptions, ConnectionState, ErrorKind, block_on};

use crate::connection::scenario::channel_ok;
use crate::support::log;
use crate::support::peer::{frame, on_connection, peer};
use crate::support::setup::{WAIT, engine, until, without_recovery};

#[test]
fn a_peer_that_requests_and_does_not_read_is_disconnected() {
    let cancel = basic::Cancel { consumer_tag: "none".repeat(60).into(), nowait: false };
    let cancel = frame(1, AMQPClass::Basic(basic::AMQPMethod::Cancel(cancel)));
    let mut config = without_recovery(peer(move |peer| {
        peer.open_connection();
        peer.read_method();
        peer.send(&frame(1, AMQPClass::Channel(channel_ok())));
        peer.read_method();
        let selected = confirm::AMQPMethod::SelectOk(confirm::SelectOk {});
        peer.send(&frame(1, AMQPClass::Confirm(selected)));
        let flood = cancel.repeat(1000);
        while peer.try_send(&flood) {}
    }));
    // Otherwise the kernel could close the connection first, because the peer does not read.
    config.tcp_user_timeout = WAIT;
    let connection = engine().connect_blocking(config).unwrap();
    // Kept open while the peer floods. The connection may be lost before this call returns, because
    // the flood follows the last response at once.
    let _channel = block_on(connection.open_channel(ChannelOptions::default()));
    until("the connection is closed", || connection.state() == ConnectionState::Closed);
    let error = connection.status().last_error.unwrap();
    assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
    assert!(error.to_string().contains("does not read"), "{error}");
}

#[test]
fn a_flood_of_blocked_states_is_logged_only_in_part() {
    log::keep();
    let blocked = connection::Blocked { reason: "flooded-3f7a".into() };
    let unblocked = connection::AMQPMethod::Unblocked(connection::Unblocked {});
    let blocked = on_connection(connection::AMQPMethod::Blocked(blocked));
    let flood = [blocked, on_connection(unblocked)].concat().repeat(20_000);
    let config = without_recovery(peer(move |peer| {
        peer.open_connection();
        peer.send(&flood);
        peer.send(&on_connection(connection::AMQPMethod::Close(connection::Close {
            reply_code: 320,
            reply_text: "over".into(),
            class_id: 0,
            method_id: 0,
        })));
        peer.wait_for_end();
    }));
    let begun = Instant::now();
    // The engine may read everything before this call returns.
    match engine().connect_blocking(config) {
        Ok(connection) => {
            until("it is closed", || connection.state() == ConnectionState::Closed);
        }
        Err(error) => assert_eq!(error.reply_code(), Some(320), "{error}"),
    }
    let lines = log::lines_with("flooded-3f7a");
    let most = 12 + begun.elapsed().as_secs() as usize;
    assert!((1..=most).contains(&lines.len()), "{} of 20,000", lines.len());
}
