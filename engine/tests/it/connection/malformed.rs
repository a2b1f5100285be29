//! Malformed frames and contents on an open connection end it with a typed error.

use amq_protocol::protocol::AMQPClass;
use leveret_engine::loopback::Loopback;
use leveret_engine::wire::{ContentHeader, Deliver, FrameKind, PropertiesView, write_frame};
use leveret_engine::{
    ConnectionConfig, ConnectionState, Consume, Engine, Error, ErrorKind, Outcome, block_on,
};

use crate::connection::scenario::{assert_works, channel_ok};
use crate::support::peer::frame;
use crate::support::setup::{
    WAIT, channel, config_of, engine, loopback, publish, queue, until, without_recovery,
};

/// Creates a connection with an unconfirmed publication and a consumer on `q`, and then calls
/// `break_it`.
fn end_connection_by(
    change: impl FnOnce(&mut ConnectionConfig),
    break_it: impl FnOnce(&Loopback),
) -> (Error, Engine) {
    let (peer, healthy) = (loopback(), loopback());
    let engine = engine();
    let other = engine.connect_blocking(config_of(&healthy)).unwrap();
    let mut config = without_recovery(config_of(&peer));
    change(&mut config);
    let connection = engine.connect_blocking(config).unwrap();
    let channel = channel(&connection);
    queue(&channel, "q");
    let mut consume = Consume::from_queue("q");
    consume.consumer_tag = "tag".into();
    let mut consumer = block_on(channel.consume(consume)).unwrap();
    peer.script(|script| script.withhold_confirms = true);
    let confirm = publish(&channel, "q", "unconfirmed");
    assert_eq!(consumer.next_within(WAIT).unwrap().unwrap().body().len(), 11);
    break_it(&peer);
    let Outcome::MaybeSent(error) = confirm.wait() else { panic!("it was not confirmed") };
    until("the connection is closed", || connection.state() == ConnectionState::Closed);
    let ended = consumer.next_within(WAIT).unwrap_err();
    assert_eq!(ended.kind(), error.kind());
    assert!(consumer.next_within(WAIT).unwrap().is_none(), "the reason is returned once");
    assert_works(&other);
    (error, engine)
}

fn end_connection_with(bytes: Vec<u8>) -> Error {
    end_connection_by(|_| {}, |peer| peer.send_raw(&bytes)).0
}

#[test]
fn malformed_frames_end_the_connection() {
    type Break = fn(&Loopback);
    let cases: [(&str, Break); 4] = [
        ("frame type", Loopback::send_garbage),
        ("end", Loopback::send_bad_frame_end),
        ("bytes", Loopback::send_oversized_frame),
        ("method", Loopback::send_unknown_method),
    ];
    for (word, break_it) in cases {
        let (error, _) = end_connection_by(|_| {}, break_it);
        assert_eq!(error.kind(), ErrorKind::Protocol, "{word}");
        assert!(error.to_string().contains(word), "{error}");
    }
}

#[test]
fn a_frame_on_a_channel_that_is_not_open_ends_the_connection() {
    let error = end_connection_with(frame(77, AMQPClass::Channel(channel_ok())));
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert!(error.to_string().contains("channel 77"), "{error}");
}

/// Creates `basic.deliver` and a header that announces `size` bytes.
fn delivery_of(size: u64) -> Vec<u8> {
    delivery(2, size)
}

fn delivery(delivery_tag: u64, size: u64) -> Vec<u8> {
    let mut out = Vec::new();
    let deliver = Deliver {
        consumer_tag: "tag",
        delivery_tag,
        redelivered: false,
        exchange: "",
        routing_key: "q",
    };
    deliver.encode_frame(1, &mut out);
    let properties = PropertiesView::default();
    ContentHeader { body_size: size, properties }.encode_frame(1, &mut out);
    out
}

fn body_of(size: usize) -> Vec<u8> {
    let mut out = Vec::new();
    write_frame(&mut out, FrameKind::Body, 1, |out| out.resize(out.len() + size, 0));
    out
}

#[test]
fn inconsistent_contents_end_the_connection() {
    let overrun = [delivery_of(3), body_of(4)].concat();
    let orphan_body = body_of(4);
    let two_headers = [delivery_of(3), delivery_of(3).split_off(40)].concat();
    let method_inside = [delivery_of(3), delivery_of(3)].concat();
    for bytes in [overrun, orphan_body, two_headers, method_inside] {
        assert_eq!(end_connection_with(bytes).kind(), ErrorKind::Protocol);
    }
}

#[test]
fn an_impossible_body_size_is_refused_at_its_header() {
    for size in [u64::MAX, 1 << 63, (1 << 32) + 1] {
        let error = end_connection_with(delivery_of(size));
        assert_eq!(error.kind(), ErrorKind::Protocol);
        assert!(error.to_string().contains(&size.to_string()), "{error}");
    }
}

#[test]
fn a_confirm_of_an_unknown_tag_ends_the_connection() {
    let ack = leveret_engine::wire::Ack { delivery_tag: 99, multiple: false };
    let mut bytes = Vec::new();
    ack.encode_frame(1, &mut bytes);
    let error = end_connection_with(bytes);
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert!(error.to_string().contains("99"), "{error}");
}

#[test]
fn delivery_tags_in_the_wrong_order_end_the_connection() {
    // The last delivery tag was 1.
    for tag in [3, 1, 0, 1 << 40, u64::MAX] {
        let error = end_connection_with(delivery(tag, 0));
        assert_eq!(error.kind(), ErrorKind::Protocol);
        assert!(error.to_string().contains(&format!("delivery tag {tag} ")), "{error}");
    }
}

#[test]
fn a_close_by_the_broker_keeps_code_and_text() {
    let (error, _) =
        end_connection_by(|_| {}, |peer| peer.close_connections(320, "CONNECTION_FORCED - ops"));
    assert_eq!((error.kind(), error.reply_code()), (ErrorKind::ConnectionClosed, Some(320)));
    assert!(error.to_string().contains("CONNECTION_FORCED - ops"), "{error}");
}
