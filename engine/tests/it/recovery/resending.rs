//! Publications in flight when a connection is lost: sent again, not sent, or possibly sent.

use std::time::Duration;

use leveret_engine::loopback::{Loopback, LoopbackConfig};
use leveret_engine::{
    ConnectionState, Consume, ErrorKind, Outcome, Properties, PublishError, block_on,
};

use crate::recovery::scenario::{declare, next};
use crate::support::setup::{WAIT, channel, config_of, engine, loopback, publish, to, until};

#[test]
fn retained_publications_are_sent_again_and_others_end_as_maybe_sent() {
    let peer = loopback();
    let connection = engine().connect_blocking(config_of(&peer)).unwrap();
    let channel = channel(&connection);
    declare(&channel, "q", |queue| queue.durable = true);
    peer.script(|script| script.withhold_confirms = true);
    let publisher = channel.publisher(to("q"), &Properties::default()).unwrap();
    let retained = publisher.retained();
    let mut confirms = Vec::new();
    for i in 0..10 {
        let publisher = if i % 2 == 0 { &retained } else { &publisher };
        confirms.push(publisher.publish_blocking(i.to_string().as_bytes(), WAIT).unwrap());
    }
    until("the broker has them", || peer.stats().published == 10);
    peer.script(|script| script.withhold_confirms = false);
    peer.drop_connections();
    for (i, confirm) in confirms.into_iter().enumerate() {
        match confirm.wait() {
            Outcome::Confirmed => assert_eq!(i % 2, 0),
            Outcome::MaybeSent(error) => {
                assert_eq!((i % 2, error.kind()), (1, ErrorKind::ConnectionClosed));
            }
            other => panic!("{i}: {other:?}"),
        }
    }
    assert!(matches!(publish(&channel, "q", "newer").wait(), Outcome::Confirmed));
    let mut consumer = block_on(channel.consume(Consume::from_queue("q"))).unwrap();
    let seen: Vec<String> = (0..16).map(|_| next(&mut consumer)).collect();
    let twice = ["0", "2", "4", "6", "8", "newer"];
    assert_eq!(seen[..10], (0..10).map(|i| i.to_string()).collect::<Vec<_>>());
    assert_eq!(seen[10..], twice, "sent again in order, and before newer ones");
    assert_eq!(connection.resends(), 5);
    let standing = connection.status();
    assert_eq!(standing.host, peer.addr().to_string());
    assert_eq!(standing.last_error.unwrap().kind(), ErrorKind::ConnectionClosed);
}

#[test]
fn publications_wait_for_the_broker_and_time_out_as_not_sent() {
    let peer = loopback();
    let port = peer.addr().port();
    let connection = engine().connect_blocking(config_of(&peer)).unwrap();
    let channel = channel(&connection);
    declare(&channel, "q", |queue| queue.durable = true);
    peer.stop();
    until("it is lost", || connection.state() == ConnectionState::Connecting);
    let publisher = channel.publisher(to("q"), &Properties::default()).unwrap();
    let short = publisher.publish_blocking("short".as_bytes(), Duration::from_millis(50)).unwrap();
    let long = publisher.publish_blocking("long".as_bytes(), WAIT).unwrap();
    let Outcome::NotSent(error) = short.wait() else { panic!("it was never sent") };
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    let peer = Loopback::start(LoopbackConfig { port, ..LoopbackConfig::default() }).unwrap();
    assert!(matches!(long.wait(), Outcome::Confirmed));
    assert_eq!(peer.stats().published, 1, "the one that timed out was never sent");
}

#[test]
fn a_retained_publication_is_not_sent_again_after_its_deadline() {
    let peer = loopback();
    let port = peer.addr().port();
    let connection = engine().connect_blocking(config_of(&peer)).unwrap();
    let channel = channel(&connection);
    declare(&channel, "q", |queue| queue.durable = true);
    peer.script(|script| script.withhold_confirms = true);
    let publisher = channel.publisher(to("q"), &Properties::default()).unwrap().retained();
    let short = publisher.publish_blocking("short".as_bytes(), Duration::from_secs(1)).unwrap();
    let long = publisher.publish_blocking("long".as_bytes(), WAIT).unwrap();
    until("the broker has them", || peer.stats().published == 2);
    peer.stop();
    until("it is lost", || connection.state() == ConnectionState::Connecting);
    let Outcome::MaybeSent(error) = short.wait() else { panic!("it was sent once") };
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    let peer = Loopback::start(LoopbackConfig { port, ..LoopbackConfig::default() }).unwrap();
    assert!(matches!(long.wait(), Outcome::Confirmed));
    assert_eq!(peer.stats().published, 1, "the other one had timed out");
}

#[test]
fn headers_larger_than_the_agreed_frames_are_refused() {
    let peer = loopback();
    peer.set_frame_max(4096);
    let connection = engine().connect_blocking(config_of(&peer)).unwrap();
    let channel = channel(&connection);
    declare(&channel, "q", |queue| queue.durable = true);
    let mut headers = leveret_engine::FieldTable::default();
    headers.insert("long".into(), leveret_engine::AMQPValue::LongString("y".repeat(5000).into()));
    let properties = Properties::default().with_headers(headers);
    let publisher = channel.publisher(to("q"), &properties).unwrap();
    let shared = bytes::Bytes::from(vec![7; 10_000]);
    for body in [leveret_engine::Payload::from(&b"small"[..]), (&shared).into()] {
        let refused = publisher.publish_blocking(body, WAIT).unwrap_err();
        let PublishError::Closed(error) = refused else { panic!("{refused:?}") };
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains("frame_max"), "{error}");
    }
    assert!(matches!(publish(&channel, "q", "bare").wait(), Outcome::Confirmed));
}

#[test]
fn bodies_are_cut_again_for_a_broker_with_smaller_frames() {
    let peer = loopback();
    let connection = engine().connect_blocking(config_of(&peer)).unwrap();
    let channel = channel(&connection);
    declare(&channel, "q", |queue| queue.durable = true);
    peer.script(|script| script.withhold_confirms = true);
    let publisher = channel.publisher(to("q"), &Properties::default()).unwrap().retained();
    let bodies: Vec<bytes::Bytes> = [10, 9000, 100_000, 300_000]
        .map(|size| (0..size).map(|i: u32| (i % 251) as u8).collect())
        .into();
    let mut confirms = Vec::new();
    for body in &bodies {
        confirms.push(publisher.publish_blocking(body, WAIT).unwrap());
        confirms.push(publisher.publish_blocking(&body[..], WAIT).unwrap());
    }
    until("the broker has them", || peer.stats().published == 8);
    peer.set_frame_max(8192);
    peer.script(|script| script.withhold_confirms = false);
    block_on(channel.purge_queue("q")).unwrap();
    peer.drop_connections();
    for confirm in confirms {
        let outcome = confirm.wait();
        assert!(matches!(outcome, Outcome::Confirmed), "{outcome:?}");
    }
    let mut consumer = block_on(channel.consume(Consume::from_queue("q"))).unwrap();
    for body in bodies {
        for _ in 0..2 {
            let delivery = consumer.next_within(WAIT).unwrap().expect("a delivery");
            assert!(*delivery.body().contiguous() == body[..], "{} bytes", body.len());
        }
    }
    assert_eq!(connection.reconnects(), 1);
}
