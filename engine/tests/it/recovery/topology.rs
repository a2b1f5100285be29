//! Channels, queues, bindings and consumers are restored after a loss, except those that were
//! deleted.

use std::time::Duration;

use leveret_engine::{ConnectionState, Consume, Outcome, block_on};

use crate::recovery::scenario::{
    QueueOfEachKind, declare, next, publish_until_consumed, until_reconnected,
};
use crate::support::setup::{WAIT, channel, config_of, engine, loopback, publish, until};

#[test]
fn channels_queues_bindings_and_consumers_are_restored() {
    let peer = loopback();
    let connection = engine().connect_blocking(config_of(&peer)).unwrap();
    let mut queues = QueueOfEachKind::build(&connection);
    queues.assert_delivers("first");
    for times in 1..=3 {
        peer.drop_connections();
        until_reconnected(&connection, times);
        queues.assert_delivers(&format!("again {times}"));
    }
    peer.close_connections(320, "CONNECTION_FORCED - maintenance");
    until_reconnected(&connection, 4);
    queues.assert_delivers("after a close");
}

#[test]
fn one_failing_declaration_does_not_prevent_the_others() {
    let peer = loopback();
    let connection = engine().connect_blocking(config_of(&peer)).unwrap();
    let channel = channel(&connection);
    for name in ["a", "b", "c"] {
        declare(&channel, name, |queue| queue.exclusive = true);
    }
    let mut consumer = block_on(channel.consume(Consume::from_queue("c"))).unwrap();
    peer.refuse_declare("a", 406, "PRECONDITION_FAILED - not a");
    peer.drop_connections();
    until_reconnected(&connection, 1);
    assert!(matches!(publish(&channel, "b", "to b").wait(), Outcome::Confirmed));
    assert!(matches!(publish(&channel, "c", "to c").wait(), Outcome::Confirmed));
    assert_eq!(next(&mut consumer), "to c");
    assert!(matches!(publish(&channel, "a", "to a").wait(), Outcome::Returned(_)));
    assert_eq!(connection.reconnects(), 1);
}

#[test]
fn a_deleted_queue_is_not_restored() {
    let peer = loopback();
    let connection = engine().connect_blocking(config_of(&peer)).unwrap();
    let channel = channel(&connection);
    declare(&channel, "gone", |queue| queue.exclusive = true);
    declare(&channel, "kept", |queue| queue.exclusive = true);
    block_on(channel.delete_queue("gone", false, false)).unwrap();
    peer.drop_connections();
    until_reconnected(&connection, 1);
    assert_eq!(peer.queue_len("/", "kept"), Some(0));
    assert_eq!(peer.queue_len("/", "gone"), None);
}

#[test]
fn an_auto_delete_queue_without_consumers_is_not_restored_after_its_channel_closed() {
    let peer = loopback();
    let connection = engine().connect_blocking(config_of(&peer)).unwrap();
    let (leaving, staying) = (channel(&connection), channel(&connection));
    for name in ["gone", "kept"] {
        declare(&leaving, name, |queue| queue.auto_delete = true);
    }
    let mut gone = block_on(leaving.consume(Consume::from_queue("gone"))).unwrap();
    let _kept = block_on(staying.consume(Consume::from_queue("kept"))).unwrap();
    leaving.close_in_background();
    assert!(gone.next_within(WAIT).unwrap().is_none(), "its consumer has ended");
    until("the broker deletes it", || peer.queue_len("/", "gone").is_none());
    peer.drop_connections();
    until_reconnected(&connection, 1);
    until("what others consume is back", || peer.queue_len("/", "kept").is_some());
    assert_eq!(peer.queue_len("/", "gone"), None);
}

#[test]
fn a_channel_closed_while_its_broker_is_away_is_not_restored() {
    let peer = loopback();
    let mut config = config_of(&peer);
    config.operation_timeout = Duration::from_millis(400);
    config.recovery.delay = Duration::from_secs(2);
    let connection = engine().connect_blocking(config).unwrap();
    let (leaving, staying) = (channel(&connection), channel(&connection));
    declare(&staying, "q", |queue| queue.durable = true);
    let mut consumer = block_on(leaving.consume(Consume::from_queue("q"))).unwrap();
    peer.drop_connections();
    until("it is lost", || connection.state() == ConnectionState::Connecting);
    leaving.close_in_background();
    assert!(consumer.next_within(WAIT).unwrap().is_none(), "its consumer has ended");
    until_reconnected(&connection, 1);
    assert!(publish(&staying, "q", "for others").wait().is_ok());
    assert_eq!(peer.queue_len("/", "q"), Some(1), "no consumer accepted it");
}

#[test]
fn a_queue_that_vanished_without_notice_is_declared_again() {
    let peer = loopback();
    let connection = engine().connect_blocking(config_of(&peer)).unwrap();
    let channel = channel(&connection);
    declare(&channel, "q", |queue| queue.auto_delete = true);
    declare(&channel, "other", |queue| queue.durable = true);
    let mut consumer = block_on(channel.consume(Consume::from_queue("q"))).unwrap();
    let mut other = block_on(channel.consume(Consume::from_queue("other"))).unwrap();
    peer.drop_connections();
    until_reconnected(&connection, 1);
    publish_until_consumed(&channel, "q", &mut consumer);
    assert!(peer.lose_queue("/", "q"));
    assert!(matches!(publish(&channel, "q", "lost").wait(), Outcome::Returned(_)));
    publish_until_consumed(&channel, "q", &mut consumer);
    assert!(publish(&channel, "other", "untouched").wait().is_ok());
    assert_eq!(next(&mut other), "untouched");
    assert_eq!(connection.reconnects(), 1);
}

#[test]
fn a_delivery_is_no_longer_answerable_after_its_channel_is_lost() {
    let peer = loopback();
    let connection = engine().connect_blocking(config_of(&peer)).unwrap();
    let channel = channel(&connection);
    declare(&channel, "q", |queue| queue.durable = true);
    let mut consumer = block_on(channel.consume(Consume::from_queue("q"))).unwrap();
    assert!(publish(&channel, "q", "twice").wait().is_ok());
    let first = consumer.next_within(WAIT).unwrap().expect("a delivery");
    assert!(first.is_answerable());
    peer.drop_connections();
    let second = consumer.next_within(WAIT).unwrap().expect("the same again");
    assert!(!first.is_answerable() && second.is_answerable());
    first.ack();
    second.ack();
    until("only the second counts", || peer.stats().acked == 1);
    block_on(connection.close()).unwrap();
    assert!(!second.is_answerable());
}
