//! The engine restores what the broker or another client removed without notice, but not what was
//! deleted on purpose.

use std::time::Duration;

use leveret_engine::{
    Channel, ConnectionConfig, Consume, ExchangeDeclare, Outcome, Properties, QueueBind,
    QueueDeclare, Route, TopologyGroup, block_on,
};

use crate::support::setup::{WAIT, channel, config, config_of, engine, loopback, publish, until};

/// Declares an exchange, a durable queue, and a binding between them, all with the same name.
fn declare(channel: &Channel, name: &str) {
    let kind = "direct".into();
    let exchange = ExchangeDeclare { name: name.into(), kind, ..ExchangeDeclare::default() };
    block_on(channel.declare_exchange(exchange)).unwrap();
    let queue = QueueDeclare { name: name.into(), durable: true, ..QueueDeclare::default() };
    block_on(channel.declare_queue(queue)).unwrap();
    block_on(channel.bind_queue(binding(name))).unwrap();
}

fn binding(name: &str) -> QueueBind {
    let (queue, exchange, routing_key) = (name.into(), name.into(), "k".into());
    QueueBind { queue, exchange, routing_key, ..QueueBind::default() }
}

fn is_routed(channel: &Channel, name: &str) -> bool {
    let (exchange, routing_key) = (name.into(), "k".into());
    let route = Route { exchange, routing_key, mandatory: true };
    let publisher = channel.publisher(route, &Properties::default()).unwrap();
    publisher.publish_blocking(b"m".as_slice(), WAIT).unwrap().wait().is_ok()
}

fn audited(mut config: ConnectionConfig, interval: Duration) -> ConnectionConfig {
    config.audit_interval = interval;
    config
}

#[test]
fn a_deletion_by_another_client_is_restored_within_an_interval() {
    let peer = loopback();
    for to_broker in [config_of(&peer), config("audit-beat")] {
        let engine = engine();
        let to_broker = audited(to_broker, Duration::from_millis(200));
        let connection = engine.connect_blocking(to_broker.clone()).unwrap();
        let declaring = channel(&connection);
        declare(&declaring, "x");
        let consumer = block_on(declaring.consume(Consume::from_queue("x"))).unwrap();
        declare(&declaring, "y");
        let other = channel(&engine.connect_blocking(to_broker).unwrap());

        block_on(other.unbind_queue(binding("x"))).unwrap();
        until("the binding is back", || is_routed(&other, "x"));
        block_on(other.delete_exchange("x", false)).unwrap();
        until("the exchange is back", || is_routed(&other, "x"));
        block_on(other.delete_queue("y", false, false)).unwrap();
        until("a queue nobody consumes is back", || is_routed(&other, "y"));
        assert!(consumer.handle().status().is_consuming());
        assert_eq!(connection.reconnects(), 0);

        // Deleted on purpose: no audit restores it.
        block_on(declaring.delete_queue("y", false, false)).unwrap();
        block_on(declaring.unbind_queue(binding("x"))).unwrap();
        std::thread::sleep(Duration::from_millis(700));
        assert!(matches!(publish(&other, "y", "gone").wait(), Outcome::Returned(_)));
        assert!(!is_routed(&other, "x"));
    }
}

#[test]
fn a_missing_exchange_triggers_an_audit_of_the_whole_group() {
    let peer = loopback();
    let engine = engine();
    let group = TopologyGroup::default();
    let join = |config: ConnectionConfig| {
        let mut config = audited(config, Duration::ZERO);
        config.topology_group = group.clone();
        config
    };
    let serving = channel(&engine.connect_blocking(join(config_of(&peer))).unwrap());
    declare(&serving, "x");
    let calling = channel(&engine.connect_blocking(join(config_of(&peer))).unwrap());
    let kind = "direct".into();
    let exchange = ExchangeDeclare { name: "x".into(), kind, ..ExchangeDeclare::default() };
    block_on(calling.declare_exchange(exchange)).unwrap();
    let other = channel(&engine.connect_blocking(config_of(&peer)).unwrap());
    block_on(other.delete_exchange("x", false)).unwrap();
    let (exchange, routing_key) = ("x".into(), "k".into());
    let route = Route { exchange, routing_key, mandatory: false };
    let publisher = calling.publisher(route, &Properties::default()).unwrap().retained();
    assert!(publisher.publish_blocking(b"m".as_slice(), WAIT).unwrap().wait().is_ok());
    until("the binding of the other connection is back", || is_routed(&calling, "x"));
}

#[test]
fn a_queue_that_lost_its_consumer_without_notice_is_consumed_again() {
    let peer = loopback();
    let config = audited(config_of(&peer), Duration::from_millis(100));
    let connection = engine().connect_blocking(config).unwrap();
    let channel = channel(&connection);
    declare(&channel, "q");
    let consumer = block_on(channel.consume(Consume::from_queue("q"))).unwrap();
    let consumer = std::cell::RefCell::new(consumer);
    assert!(peer.lose_queue("/", "q"));
    until("a delivery arrives", || {
        let _ = publish(&channel, "q", "m").wait();
        consumer.borrow_mut().next_within(Duration::from_millis(50)).unwrap().is_some()
    });
}
