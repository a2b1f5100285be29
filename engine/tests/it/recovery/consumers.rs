//! Consumers that the broker cancels or whose queue is missing or locked, and cancelled consumers.

use std::time::Duration;

use leveret_engine::loopback::{Loopback, LoopbackConfig};
use leveret_engine::{
    ConnectionState, Consume, ConsumerState, ErrorKind, Outcome, Properties, block_on,
};

use crate::recovery::scenario::{
    RecordingSink, declare, next, publish_until_consumed, publish_until_delivered,
    until_reconnected, wait_for_event,
};
use crate::support::setup::{
    WAIT, channel, config, config_of, engine, loopback, publish, queue, quick, to, until,
};

#[test]
fn a_sink_is_called_before_its_consumer_subscribes_again() {
    let peer = loopback();
    let connection = engine().connect_blocking(config_of(&peer)).unwrap();
    let channel = channel(&connection);
    declare(&channel, "q", |queue| queue.durable = true);
    let (sender, events) = std::sync::mpsc::channel();
    let sink = Box::new(RecordingSink(sender));
    let handle = block_on(channel.consume_with(Consume::from_queue("q"), sink)).unwrap();
    assert!(events.try_recv().is_err(), "the first subscription uses the given arguments");
    peer.drop_connections();
    wait_for_event(&events, "resuming");
    publish_until_delivered(&channel, &events);
    // Another client deletes the queue: the broker cancels the consumer, and the engine declares
    // the queue again.
    let other = engine().connect_blocking(config_of(&peer)).unwrap();
    block_on(self::channel(&other).delete_queue("q", false, false)).unwrap();
    wait_for_event(&events, "cancelled");
    wait_for_event(&events, "resuming");
    publish_until_delivered(&channel, &events);
    drop(handle);
}

#[test]
fn a_consumer_cancelled_while_the_broker_is_away_is_not_restored() {
    let peer = loopback();
    let port = peer.addr().port();
    let mut config = config_of(&peer);
    config.operation_timeout = Duration::from_secs(2);
    let connection = engine().connect_blocking(config).unwrap();
    let channel = channel(&connection);
    declare(&channel, "q", |queue| queue.durable = true);
    let (sender, left) = std::sync::mpsc::channel();
    let sink = Box::new(RecordingSink(sender));
    let handle = block_on(channel.consume_with(Consume::from_queue("q"), sink)).unwrap();
    declare(&channel, "stays", |queue| queue.durable = true);
    let (sender, stays) = std::sync::mpsc::channel();
    let sink = Box::new(RecordingSink(sender));
    block_on(channel.consume_with(Consume::from_queue("stays"), sink)).unwrap();
    peer.stop();
    until("it is lost", || connection.state() == ConnectionState::Connecting);
    assert_eq!(block_on(handle.cancel()).unwrap_err().kind(), ErrorKind::TimedOut);
    wait_for_event(&left, "ended");
    let peer = Loopback::start(LoopbackConfig { port, ..LoopbackConfig::default() }).unwrap();
    // Consumers are restored in the order in which they were started.
    wait_for_event(&stays, "resuming");
    assert!(left.try_recv().is_err(), "the sink is not called and consumes nothing");
    let publisher = channel.publisher(to("q"), &Properties::default()).unwrap();
    assert!(matches!(
        publisher.publish_blocking(&b"kept"[..], WAIT).unwrap().wait(),
        Outcome::Confirmed
    ));
    assert_eq!(peer.queue_len("/", "q"), Some(1));
    block_on(handle.cancel()).expect("there is nothing left to cancel");
}

#[test]
fn a_deleted_queue_is_declared_again_for_the_consumer_of_its_connection() {
    let peer = loopback();
    for to_broker in [config_of(&peer), config("recovery-cancelled")] {
        let engine = engine();
        let connection = engine.connect_blocking(to_broker.clone()).unwrap();
        let consuming = channel(&connection);
        queue(&consuming, "q");
        let mut consumer = block_on(consuming.consume(Consume::from_queue("q"))).unwrap();
        let other = engine.connect_blocking(to_broker).unwrap();
        let other = channel(&other);
        block_on(other.delete_queue("q", false, false)).unwrap();
        publish_until_consumed(&other, "q", &mut consumer);
        assert_eq!(connection.reconnects(), 0);
    }
}

#[test]
fn a_consumer_waits_for_a_missing_queue_of_another_connection() {
    let peer = loopback();
    for to_broker in [config_of(&peer), config("recovery-foreign")] {
        let engine = engine();
        let other = engine.connect_blocking(to_broker.clone()).unwrap();
        let other = channel(&other);
        queue(&other, "foreign");
        let connection = engine.connect_blocking(to_broker).unwrap();
        let consuming = channel(&connection);
        declare(&consuming, "own", |queue| queue.exclusive = true);
        let mut foreign = block_on(consuming.consume(Consume::from_queue("foreign"))).unwrap();
        let mut own = block_on(consuming.consume(Consume::from_queue("own"))).unwrap();
        block_on(other.delete_queue("foreign", false, false)).unwrap();
        until("it was missed", || {
            let missing = publish(&other, "foreign", "lost").wait();
            matches!(missing, Outcome::Returned(_))
        });
        // Some attempts fail meanwhile; each of them closes the channel.
        std::thread::sleep(Duration::from_millis(500));
        queue(&other, "foreign");
        publish_until_consumed(&other, "foreign", &mut foreign);
        publish_until_consumed(&consuming, "own", &mut own);
        let standing = connection.status();
        assert_eq!(connection.reconnects(), 0, "no tag was used twice: {standing:?}");
    }
}

#[test]
fn a_consumer_is_retried_for_as_long_as_its_queue_is_missing() {
    if quick("a consumer whose queue is away for long") {
        return;
    }
    let peer = loopback();
    let engine = engine();
    let connection = engine.connect_blocking(config_of(&peer)).unwrap();
    let consuming = channel(&connection);
    let other = channel(&engine.connect_blocking(config_of(&peer)).unwrap());
    queue(&other, "foreign");
    let mut consumer = block_on(consuming.consume(Consume::from_queue("foreign"))).unwrap();
    block_on(other.delete_queue("foreign", false, false)).unwrap();
    assert!(consumer.next_within(Duration::from_secs(14)).unwrap().is_none());
    let status = consumer.handle().status();
    let ConsumerState::Waiting(reason) = status.state else { panic!("{status:?}") };
    assert_eq!((reason.kind(), reason.reply_code()), (ErrorKind::ChannelClosed, Some(404)));
    assert!(status.since.elapsed() >= Duration::from_secs(14), "it is one wait");
    queue(&other, "foreign");
    assert!(publish(&other, "foreign", "at last").wait().is_ok());
    let delivery = consumer.next_within(Duration::from_secs(6)).unwrap().expect("a delivery");
    assert_eq!(&*delivery.body().contiguous(), b"at last");
    until("its status says so", || consumer.handle().status().is_consuming());
    assert_eq!(connection.reconnects(), 0);
}

/// As after the end of a connection that the broker has not noticed yet.
#[test]
fn waiting_for_a_locked_exclusive_queue_does_not_delay_other_consumers() {
    if quick("an exclusive queue that stays locked") {
        return;
    }
    let peer = loopback();
    let connection = engine().connect_blocking(config_of(&peer)).unwrap();
    let channel = channel(&connection);
    declare(&channel, "q", |queue| queue.exclusive = true);
    let (sender, events) = std::sync::mpsc::channel();
    let sink = Box::new(RecordingSink(sender));
    let locked = block_on(channel.consume_with(Consume::from_queue("q"), sink)).unwrap();
    declare(&channel, "other", |queue| queue.durable = true);
    let mut other = block_on(channel.consume(Consume::from_queue("other"))).unwrap();
    peer.refuse_declare("q", 405, "RESOURCE_LOCKED - of another connection");
    peer.drop_connections();
    until_reconnected(&connection, 1);
    assert!(matches!(publish(&channel, "other", "held").wait(), Outcome::Confirmed));
    let held = other.next_within(WAIT).unwrap().expect("a delivery");
    // More attempts than the engine makes for a missing queue.
    for _ in 0..10 {
        wait_for_event(&events, "resuming");
    }
    held.ack();
    assert!(matches!(publish(&channel, "other", "next").wait(), Outcome::Confirmed));
    assert_eq!(next(&mut other), "next", "nothing was requeued, so nothing was redelivered");
    peer.script(|script| script.refused_declares.clear());
    publish_until_delivered(&channel, &events);
    drop(locked);
}
