//! A killed RabbitMQ node is found again after its restart.

use std::time::Duration;

use leveret_engine::{ConnectionConfig, ErrorKind, Outcome, Properties, QueueDeclare, block_on};
use leveret_support::Broker;

use crate::recovery::scenario::QueueOfEachKind;
use crate::support::setup::{WAIT, engine, quick, to};

#[test]
fn a_connection_recovers_after_its_broker_was_killed() {
    if quick("a killed broker") {
        return;
    }
    let broker = Broker::start();
    let mut config = ConnectionConfig::to("127.0.0.1", broker.port());
    config.recovery.backoff_max = Duration::from_secs(1);
    let connection = engine().connect_blocking(config).unwrap();
    let mut queues = QueueOfEachKind::build(&connection);
    queues.assert_delivers("before");
    let durable = QueueDeclare { name: "kept".into(), durable: true, ..QueueDeclare::default() };
    block_on(queues.channel.declare_queue(durable)).unwrap();
    let publisher = queues.channel.publisher(to("kept"), &Properties::default()).unwrap();
    let retained = publisher.retained();
    let mut confirms = Vec::new();
    for i in 0..2000 {
        if i == 1000 {
            broker.kill();
        }
        let publisher = if i % 2 == 0 { &retained } else { &publisher };
        confirms.push(publisher.publish_blocking(i.to_string().as_bytes(), WAIT * 6).unwrap());
    }
    broker.restart();
    for (i, confirm) in confirms.into_iter().enumerate() {
        match confirm.wait() {
            Outcome::Confirmed => {}
            Outcome::MaybeSent(error) => {
                assert_eq!((i % 2, error.kind()), (1, ErrorKind::ConnectionClosed), "{i}");
            }
            other => panic!("{i}: {other:?}"),
        }
    }
    queues.assert_delivers("after");
}
