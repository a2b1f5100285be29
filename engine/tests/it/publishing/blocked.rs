//! A broker that blocks publishers: on the loopback peer, and RabbitMQ under a memory alarm.

use std::time::Duration;

use leveret_engine::{
    ConnectionConfig, ConnectionState, ErrorKind, Outcome, Properties, PublishError,
};
use leveret_support::Broker;

use crate::support::setup::{
    WAIT, channel, config_of, engine, loopback, publish, queue, quick, to, until,
};

#[test]
fn blocked_publications_time_out_as_not_sent() {
    let peer = loopback();
    let connection = engine().connect_blocking(config_of(&peer)).unwrap();
    let channel = channel(&connection);
    queue(&channel, "q");
    peer.block_publishers("low on memory");
    let blocked = ConnectionState::Blocked("low on memory".into());
    until("it is blocked", || connection.state() == blocked);
    let publisher = channel.publisher(to("q"), &Properties::default()).unwrap();
    let confirm = publisher.try_publish("waits".as_bytes(), Duration::from_millis(50)).unwrap();
    let patient = publisher.try_publish("waits longer".as_bytes(), WAIT).unwrap();
    assert_eq!(connection.confirms_outstanding(), 2);
    assert!(channel.outbox_bytes() > "waits longer".len());
    let Outcome::NotSent(error) = confirm.wait() else { panic!("nothing is sent") };
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    peer.unblock_publishers();
    assert!(matches!(patient.wait(), Outcome::Confirmed));
    until("it is open", || connection.state() == ConnectionState::Open);
    assert_eq!(peer.stats().published, 1);
    let blocked = connection.blocked_time();
    assert!(blocked > Duration::ZERO);
    assert_eq!(connection.blocked_time(), blocked, "it is over");
    assert_eq!(connection.confirms_outstanding(), 0);
}

#[test]
fn a_connection_may_open_and_recover_while_publishers_are_blocked() {
    let peer = loopback();
    peer.block_publishers("disk");
    let connection = engine().connect_blocking(config_of(&peer)).unwrap();
    let blocked = ConnectionState::Blocked("disk".into());
    assert_eq!(connection.state(), blocked);
    let channel = channel(&connection);
    queue(&channel, "q");
    let confirm = publish(&channel, "q", "later");
    peer.drop_connections();
    until("it has reconnected", || connection.reconnects() == 1 && connection.state() == blocked);
    assert_eq!(peer.stats().published, 0);
    peer.unblock_publishers();
    assert!(matches!(confirm.wait(), Outcome::Confirmed));
}

#[test]
fn publishing_into_a_full_outbox_while_blocked_fails_or_times_out() {
    let peer = loopback();
    let mut config = config_of(&peer);
    config.outbox_bytes = 10_000;
    let connection = engine().connect_blocking(config).unwrap();
    let channel = channel(&connection);
    peer.block_publishers("low on memory");
    until("it is blocked", || connection.state() != ConnectionState::Open);
    let publisher = channel.publisher(to("q"), &Properties::default()).unwrap().fire_and_forget();
    let body = vec![7; 1000];
    while publisher.try_publish(&body, WAIT).is_ok() {}
    let short = Duration::from_millis(50);
    let refused = publisher.publish_blocking(&body, short).unwrap_err();
    assert!(matches!(refused, PublishError::TimedOut));
    peer.unblock_publishers();
    drop(publisher.publish_blocking(&body, WAIT).unwrap());
}

#[test]
fn a_memory_alarm_blocks_publishers_until_it_ends() {
    if quick("a memory alarm") {
        return;
    }
    let broker = Broker::start();
    let config = ConnectionConfig::to("127.0.0.1", broker.port());
    let connection = engine().connect_blocking(config).unwrap();
    let channel = channel(&connection);
    queue(&channel, "q");
    broker.set_memory_alarm(true);
    // RabbitMQ notifies a connection once it publishes under the alarm, and raises the alarm with a
    // delay.
    until("it is blocked", || {
        drop(publish(&channel, "q", "one too many"));
        matches!(connection.state(), ConnectionState::Blocked(_))
    });
    let publisher = channel.publisher(to("q"), &Properties::default()).unwrap();
    let confirm = publisher.try_publish("waits".as_bytes(), Duration::from_millis(50)).unwrap();
    assert!(matches!(confirm.wait(), Outcome::NotSent(_)));
    broker.set_memory_alarm(false);
    until("it is open", || connection.state() == ConnectionState::Open);
    assert!(matches!(publish(&channel, "q", "x").wait(), Outcome::Confirmed));
}
