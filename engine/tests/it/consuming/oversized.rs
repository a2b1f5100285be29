//! Messages above [`ConnectionConfig::body_max`]: the engine rejects each of them, and the
//! connection continues.

use std::time::Duration;

use leveret_engine::{
    AMQPValue, Channel, ConnectionConfig, ConnectionState, Consume, FieldTable, Outcome,
    Properties, QueueDeclare, block_on,
};

use crate::support::setup::{
    WAIT, channel, config, config_of, engine, loopback, publish, queue, to, until,
};

/// The limit of the consuming connection, and bodies above it: one of several frames, one of a
/// single frame.
const LIMIT: u64 = 10_000;
const ABOVE: [usize; 2] = [400_000, 10_001];

fn limited(mut config: ConnectionConfig) -> ConnectionConfig {
    config.body_max = LIMIT;
    config
}

fn send(channel: &Channel, body: &[u8]) {
    let publisher = channel.publisher(to("q"), &Properties::default()).unwrap();
    let outcome = publisher.publish_blocking(body, WAIT).unwrap().wait();
    assert!(matches!(outcome, Outcome::Confirmed), "{outcome:?}");
}

/// Consumes a small message, one that is too large, and a small one.
fn consume_around_oversized(config: &ConnectionConfig, no_ack: bool) {
    let engine = engine();
    let publishing = channel(&engine.connect_blocking(config.clone()).unwrap());
    let connection = engine.connect_blocking(limited(config.clone())).unwrap();
    let consuming = channel(&connection);
    let mut consumer = {
        let consume = Consume { no_ack, ..Consume::from_queue("q") };
        block_on(consuming.consume(consume)).unwrap()
    };
    for size in ABOVE {
        let exactly = usize::try_from(LIMIT).unwrap();
        for body in [vec![1; 10], vec![2; size], vec![3; exactly]] {
            send(&publishing, &body);
        }
        for expected in [10, exactly] {
            let delivery = consumer.next_within(WAIT / 2).unwrap();
            let delivery = delivery.unwrap_or_else(|| panic!("no message of {expected} bytes"));
            assert_eq!(delivery.body().len(), expected, "beside one of {size}");
            assert!(!delivery.redelivered(), "the connection was lost");
            delivery.ack();
        }
    }
    assert!(consumer.next_within(Duration::from_millis(100)).unwrap().is_none());
    assert_eq!((connection.state(), connection.reconnects()), (ConnectionState::Open, 0));
    until("everything is settled", || {
        block_on(publishing.declare_queue(QueueDeclare {
            name: "q".into(),
            passive: true,
            ..QueueDeclare::default()
        }))
        .is_ok_and(|queue| queue.messages == 0)
    });
    block_on(consumer.cancel()).unwrap();
    assert_eq!(block_on(publishing.purge_queue("q")).unwrap(), 0, "nothing was put back");
}

#[test]
fn a_message_above_the_limit_is_rejected_alone() {
    let peer = loopback();
    for to_broker in [config_of(&peer), config("oversized")] {
        let connection = engine().connect_blocking(to_broker.clone()).unwrap();
        queue(&channel(&connection), "q");
        for no_ack in [false, true] {
            consume_around_oversized(&to_broker, no_ack);
        }
    }
}

#[test]
fn a_message_above_the_limit_is_dead_lettered_once() {
    let to_broker = config("oversized-dead");
    let engine = engine();
    let publishing = channel(&engine.connect_blocking(to_broker.clone()).unwrap());
    queue(&publishing, "dead");
    let mut arguments = FieldTable::default();
    let text = |text: &str| AMQPValue::LongString(text.into());
    arguments.insert("x-dead-letter-exchange".into(), text(""));
    arguments.insert("x-dead-letter-routing-key".into(), text("dead"));
    let declare = QueueDeclare { name: "q".into(), arguments, ..QueueDeclare::default() };
    block_on(publishing.declare_queue(declare)).unwrap();
    let connection = engine.connect_blocking(limited(to_broker)).unwrap();
    let mut consumer = block_on(channel(&connection).consume(Consume::from_queue("q"))).unwrap();
    for size in ABOVE {
        send(&publishing, &vec![2; size]);
    }
    let mut dead = block_on(publishing.consume(Consume::from_queue("dead"))).unwrap();
    for size in ABOVE {
        let delivery = dead.next_within(WAIT / 2).unwrap().expect("it was rejected");
        assert_eq!(delivery.body().len(), size);
        let headers = delivery.properties().headers.expect("RabbitMQ says why");
        let reason = headers.get("x-first-death-reason").and_then(|value| value.as_str());
        assert_eq!(reason, Some("rejected"));
        delivery.ack();
    }
    assert!(matches!(publish(&publishing, "q", "small").wait(), Outcome::Confirmed));
    let small = consumer.next_within(WAIT / 2).unwrap().expect("a delivery");
    assert_eq!(small.body().len(), 5);
    assert_eq!((connection.state(), connection.reconnects()), (ConnectionState::Open, 0));
}

/// Frames of one channel's message may be interleaved with those of another's.
#[test]
fn messages_above_the_limit_may_arrive_on_several_channels() {
    let peer = loopback();
    let engine = engine();
    let connection = engine.connect_blocking(limited(config_of(&peer))).unwrap();
    let publishing = channel(&engine.connect_blocking(config_of(&peer)).unwrap());
    let names = ["a", "b", "c"];
    let mut consumers: Vec<_> = names
        .into_iter()
        .map(|name| {
            queue(&publishing, name);
            let consuming = channel(&connection);
            (block_on(consuming.consume(Consume::from_queue(name))).unwrap(), consuming)
        })
        .collect();
    for round in 0..10 {
        for name in names {
            let publisher = publishing.publisher(to(name), &Properties::default()).unwrap();
            for body in [vec![0; 400_000], vec![round; 9]] {
                drop(publisher.publish_blocking(&body, WAIT).unwrap());
            }
        }
    }
    for round in 0..10 {
        for (consumer, _) in &mut consumers {
            let delivery = consumer.next_within(WAIT / 2).unwrap().expect("a delivery");
            assert_eq!(delivery.body().to_vec(), vec![round; 9]);
            delivery.ack();
        }
    }
    assert_eq!(connection.reconnects(), 0);
}
