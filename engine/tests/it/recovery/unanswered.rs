//! A broker that keeps a connection alive and leaves one request of a recovery unanswered: each
//! step has a deadline, after which the engine connects to another host.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use amq_protocol::protocol::{AMQPClass, basic, channel, connection, queue};
use leveret_engine::wire::{
    ContentHeader, Deliver, FrameKind, HEARTBEAT_FRAME, PropertiesView, write_frame,
};
use leveret_engine::{ChannelOptions, ConnectionConfig, Consume, QueueDeclare, block_on};

use crate::support::peer::{Peer, answer, frame, on_connection, open_ok, peer, start};
use crate::support::setup::engine;

/// The deadline of a step, and the limit of the whole recovery after a step was left unanswered.
const STEP: Duration = Duration::from_millis(500);
const BACK: Duration = Duration::from_secs(5);

/// Matches one kind of request.
type Is = fn(&AMQPClass) -> bool;

/// State that both brokers share.
struct Script {
    unanswered: Is,
    /// Number of opened connections.
    opened: AtomicUsize,
    /// Whether the request was left unanswered.
    is_left: AtomicBool,
}

/// A broker with fixed replies. On its first connection it cancels the consumers and then leaves
/// the first matching request unanswered.
fn broker(script: &Arc<Script>) -> ConnectionConfig {
    let script = Arc::clone(script);
    peer(move |peer| {
        open_connection_with_heartbeat(peer);
        let is_first = script.opened.fetch_add(1, Ordering::AcqRel) == 0;
        let (mut consumed, mut is_cancelled) = (0, false);
        loop {
            // Often enough for a heartbeat of one second.
            let Some((number, method)) = peer.read_method_within(Duration::from_millis(300)) else {
                if peer.is_over() {
                    return;
                }
                peer.send(&HEARTBEAT_FRAME);
                continue;
            };
            let is_in_question = is_first && is_cancelled && (script.unanswered)(&method);
            if is_in_question && !script.is_left.swap(true, Ordering::AcqRel) {
                continue;
            }
            if let Some(answer) = answer(number, &method) {
                peer.send(&answer);
            }
            let AMQPClass::Basic(basic::AMQPMethod::Consume(consume)) = method else { continue };
            consumed += 1;
            let tag = consume.consumer_tag.as_str();
            if !is_first {
                peer.send(&delivery(number, consumed, tag));
            } else if consumed == 2 {
                is_cancelled = true;
                for tag in ["one", "two"] {
                    let cancel = basic::Cancel { consumer_tag: tag.into(), nowait: true };
                    let cancel = basic::AMQPMethod::Cancel(cancel);
                    peer.send(&frame(number, AMQPClass::Basic(cancel)));
                }
            }
        }
    })
}

/// Performs the handshake up to an open connection with a heartbeat.
fn open_connection_with_heartbeat(peer: &mut Peer) {
    peer.read_header();
    peer.send(&start());
    peer.read_method();
    let tune = connection::Tune { channel_max: 2047, frame_max: 131_072, heartbeat: 1 };
    peer.send(&on_connection(connection::AMQPMethod::Tune(tune)));
    peer.read_method();
    peer.read_method();
    peer.send(&open_ok());
}

/// Encodes the message with this number on its channel; its body is the consumer tag.
fn delivery(number: u16, delivery_tag: u64, tag: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let deliver = Deliver {
        consumer_tag: tag,
        delivery_tag,
        redelivered: false,
        exchange: "",
        routing_key: "q",
    };
    deliver.encode_frame(number, &mut out);
    let properties = PropertiesView::default();
    ContentHeader { body_size: tag.len() as u64, properties }.encode_frame(number, &mut out);
    write_frame(&mut out, FrameKind::Body, number, |out| out.extend_from_slice(tag.as_bytes()));
    out
}

/// Cancels two consumers and leaves one request of their recovery unanswered.
fn assert_replaced_if_unanswered(what: &str, unanswered: Is) {
    let script = Script { unanswered, opened: AtomicUsize::new(0), is_left: false.into() };
    let script = Arc::new(script);
    let (mut config, other) = (broker(&script), broker(&script));
    config.hosts.extend(other.hosts);
    config.operation_timeout = STEP;
    let connection = engine().connect_blocking(config).unwrap();
    let first_host = connection.status().host;
    let mut consumers = Vec::new();

    let channel = block_on(connection.open_channel(ChannelOptions::default())).unwrap();
    for tag in ["one", "two"] {
        let declare =
            QueueDeclare { name: format!("queue {tag}"), durable: true, ..Default::default() };
        block_on(channel.declare_queue(declare)).unwrap();
        let mut consume = Consume::from_queue(format!("queue {tag}"));
        consume.consumer_tag = tag.into();
        consumers.push(block_on(channel.consume(consume)).unwrap());
    }
    let begun = Instant::now();
    for consumer in &mut consumers {
        let left = BACK.saturating_sub(begun.elapsed());
        let delivery = consumer.next_within(left).unwrap();
        let delivery = delivery.unwrap_or_else(|| {
            let is_left = script.is_left.load(Ordering::Acquire);
            let reconnects = connection.reconnects();
            panic!("{what} unanswered ({is_left}): nothing after {BACK:?}, {reconnects} reconnects")
        });
        delivery.ack();
    }
    assert!(script.is_left.load(Ordering::Acquire), "{what} was never asked");
    assert_eq!(connection.reconnects(), 1, "{what}");
    assert_ne!(connection.status().host, first_host, "{what}");
}

#[test]
fn an_unanswered_declaration_replaces_the_connection() {
    assert_replaced_if_unanswered("queue.declare", |method| {
        matches!(method, AMQPClass::Queue(queue::AMQPMethod::Declare(_)))
    });
}

#[test]
fn an_unanswered_channel_open_replaces_the_connection() {
    assert_replaced_if_unanswered("channel.open", |method| {
        matches!(method, AMQPClass::Channel(channel::AMQPMethod::Open(_)))
    });
}

#[test]
fn an_unanswered_channel_close_replaces_the_connection() {
    assert_replaced_if_unanswered("channel.close", |method| {
        matches!(method, AMQPClass::Channel(channel::AMQPMethod::Close(_)))
    });
}

#[test]
fn an_unanswered_consume_replaces_the_connection() {
    assert_replaced_if_unanswered("basic.consume", |method| {
        matches!(method, AMQPClass::Basic(basic::AMQPMethod::Consume(_)))
    });
}
