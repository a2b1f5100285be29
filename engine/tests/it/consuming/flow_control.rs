//! A slow consumer pauses reading: a full inbox, and receive blocks that are kept.

use std::time::{Duration, Instant};

use leveret_engine::{ConnectionState, Consume, Properties, block_on};

use crate::connection::heartbeats::loopback_with_heartbeats;
use crate::consuming::scenario::consume;
use crate::support::setup::{WAIT, channel, config_of, engine, loopback, queue, to, until};

const SHORT: Duration = Duration::from_millis(50);

#[test]
fn a_slow_consumer_pauses_reading_while_heartbeats_continue() {
    let (engine, peer) = (engine(), loopback_with_heartbeats());
    let publishing = engine.connect_blocking(config_of(&peer)).unwrap();
    let publishing = channel(&publishing);
    queue(&publishing, "q");
    let mut config = config_of(&peer);
    config.blocks_max = 8;
    let connection = engine.connect_blocking(config).unwrap();
    let mut slow = Consume::from_queue("q");
    slow.inbox_messages = 100;
    let mut consumer = block_on(channel(&connection).consume(slow)).unwrap();
    let body = vec![7; 20_000];
    let publisher = publishing.publisher(to("q"), &Properties::default()).unwrap();
    for _ in 0..2000 {
        drop(publisher.publish_blocking(&body, WAIT).unwrap());
    }
    until("all is published", || peer.stats().published == 2000);
    until("reading pauses", || engine.stats()[0].pauses > 0);
    let (begun, read) = (Instant::now(), engine.stats()[0].bytes_in);
    // Without reading for two intervals, each side would consider the other dead.
    while begun.elapsed() < Duration::from_millis(3500) {
        assert_eq!(connection.state(), ConnectionState::Open);
        std::thread::sleep(Duration::from_millis(100));
    }
    let read = engine.stats()[0].bytes_in - read;
    assert!(read < 1 << 20, "{read} bytes were read for an inbox that is full");
    for _ in 0..2000 {
        let delivery = consumer.next_within(WAIT).unwrap().expect("a delivery");
        assert_eq!(delivery.body().len(), body.len());
        delivery.ack();
    }
    assert_eq!((connection.reconnects(), connection.state()), (0, ConnectionState::Open));
    until("all are acknowledged", || peer.stats().acked == 2000);
}

#[test]
fn deliveries_that_are_kept_use_a_limited_number_of_blocks() {
    let (engine, peer) = (engine(), loopback());
    let publishing = engine.connect_blocking(config_of(&peer)).unwrap();
    let publishing = channel(&publishing);
    queue(&publishing, "q");
    let mut config = config_of(&peer);
    (config.block_bytes, config.blocks_max) = (64 << 10, 4);
    let connection = engine.connect_blocking(config).unwrap();
    let mut consumer = consume(&channel(&connection), "q");
    let body = vec![7; 30_000];
    let publisher = publishing.publisher(to("q"), &Properties::default()).unwrap();
    for _ in 0..100 {
        assert!(publisher.publish_blocking(&body, WAIT).unwrap().wait().is_ok());
    }
    let mut kept = Vec::new();
    while let Some(delivery) = consumer.next_within(SHORT * 4).unwrap() {
        kept.push(delivery);
    }
    assert!(kept.len() < 30, "{} bodies of 30,000 bytes in 4 blocks of 65,536", kept.len());
    let mut seen = kept.len();
    kept.clear();
    while seen < 100 {
        assert!(consumer.next_within(WAIT).unwrap().is_some(), "it reads again");
        seen += 1;
    }
}
