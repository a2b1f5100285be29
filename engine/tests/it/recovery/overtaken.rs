//! The end of a socket overtakes a step of recovery: nothing of that step reaches the next socket.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use amq_protocol::protocol::{AMQPClass, basic, channel};
use leveret_engine::loopback::Script;
use leveret_engine::{ExchangeDeclare, Outcome, Properties, Route, TopologyGroup, block_on};

use crate::support::peer::{Peer, answer, frame, open_ok, peer, start, tune};
use crate::support::setup::{
    WAIT, channel, config_of, engine, loopback, publish, queue, to, until,
};

const fn is_publish(method: &AMQPClass) -> bool {
    matches!(method, AMQPClass::Basic(basic::AMQPMethod::Publish(_)))
}

fn confirmed(number: u16, delivery_tag: u64) -> Vec<u8> {
    let ack = basic::Ack { delivery_tag, multiple: false };
    frame(number, AMQPClass::Basic(basic::AMQPMethod::Ack(ack)))
}

/// The exchange is gone, and the connection ends while the engine opens the channel again. The next
/// broker delays its start.
#[test]
fn a_repair_that_outlives_its_socket_sends_nothing_in_the_next_handshake() {
    let (heard, early) = mpsc::channel();
    let connections = AtomicUsize::new(0);
    let mut config = peer(move |peer| {
        if connections.fetch_add(1, Ordering::AcqRel) == 0 {
            peer.open_connection();
            end_during_repair(peer);
            return;
        }
        peer.read_header();
        // Longer than the repair waits for the audits of the group.
        let _ = heard.send(peer.read_method_within(Duration::from_millis(1500)));
        peer.send(&start());
        peer.read_method();
        peer.send(&tune());
        peer.read_method();
        peer.read_method();
        peer.send(&open_ok());
        let mut tag = 0;
        while let Some((number, method)) = peer.read_method() {
            if let Some(answer) = answer(number, &method) {
                peer.send(&answer);
            }
            if is_publish(&method) {
                tag += 1;
                peer.skip_content();
                peer.send(&confirmed(number, tag));
            }
        }
    });
    // Another connection of the group never finishes its audit, for which the repair waits.
    let mut other = peer(|peer| {
        peer.open_connection();
        while let Some((number, method)) = peer.read_method() {
            if let Some(answer) = answer(number, &method).filter(|_| number == 1) {
                peer.send(&answer);
            }
        }
    });
    let group = TopologyGroup::default();
    config.topology_group = group.clone();
    other.topology_group = group;
    let engine = engine();
    let other = engine.connect_blocking(other).unwrap();
    let connection = engine.connect_blocking(config).unwrap();
    let channels = [&other, &connection].map(|connection| {
        let channel = channel(connection);
        let declare = ExchangeDeclare { name: "x".into(), ..ExchangeDeclare::default() };
        block_on(channel.declare_exchange(declare)).unwrap();
        channel
    });
    let route = Route { exchange: "x".into(), routing_key: "one".into(), mandatory: false };
    let publisher = channels[1].publisher(route, &Properties::default()).unwrap().retained();
    let confirm = publisher.publish_blocking(b"m".as_slice(), WAIT).unwrap();
    let early = early.recv_timeout(WAIT).unwrap();
    assert!(early.is_none(), "sent during the handshake: {early:?}");
    assert!(confirm.wait().is_ok());
    assert_eq!(connection.reconnects(), 1);
}

/// Answers requests until something is published, refuses that, answers the first requests of the
/// repair, and ends.
fn end_during_repair(peer: &mut Peer) {
    while let Some((number, method)) = peer.read_method_within(Duration::from_millis(200)) {
        if let Some(answer) = answer(number, &method) {
            peer.send(&answer);
        }
        if is_publish(&method) {
            peer.skip_content();
            let close = channel::Close {
                reply_code: 404,
                reply_text: "NOT_FOUND - no exchange 'x' in vhost '/'".into(),
                class_id: 60,
                method_id: 40,
            };
            peer.send(&frame(number, AMQPClass::Channel(channel::AMQPMethod::Close(close))));
        }
    }
}

/// The engine is about to renew a channel that refuses publications, and waits for those in flight;
/// meanwhile the broker closes the channel.
#[test]
fn a_channel_that_ends_while_it_is_to_be_renewed_is_opened() {
    let peer = loopback();
    let connection = engine().connect_blocking(config_of(&peer)).unwrap();
    let channel = channel(&connection);
    queue(&channel, "q");
    // Without a recovery, a channel is renewed at the earliest one second after it was opened.
    std::thread::sleep(Duration::from_millis(1100));
    peer.script(|script| script.withhold_confirms = true);
    let under_way = publish(&channel, "q", "under way");
    until("it was published", || peer.stats().published == 1);
    peer.script(|script| {
        *script = Script { nack_publishes: true, ..Script::default() };
    });
    for _ in 0..3 {
        assert!(matches!(publish(&channel, "q", "no").wait(), Outcome::Nacked(_)));
    }
    peer.script(|script| *script = Script::default());
    peer.close_channels(404, "NOT_FOUND - no exchange 'y' in vhost '/'");
    assert!(!under_way.wait().is_ok());
    let publisher = channel.publisher(to("q"), &Properties::default()).unwrap().retained();
    assert!(publisher.publish_blocking(b"yes".as_slice(), WAIT).unwrap().wait().is_ok());
    assert_eq!(connection.reconnects(), 0);
}
