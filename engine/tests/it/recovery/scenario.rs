//! Shared by the tests of recovery: declarations, a topology of every kind of queue, and a sink
//! that records its calls.

use std::time::{Duration, Instant};

use leveret_engine::{
    AMQPValue, Channel, Connection, ConnectionState, Consume, Consumer, Delivery, DeliverySink,
    Disposition, ExchangeDeclare, FieldTable, Outcome, Properties, QueueBind, QueueDeclare, Route,
    block_on,
};

use crate::support::setup::{WAIT, channel, publish, until};

pub(crate) fn until_reconnected(connection: &Connection, times: u64) {
    until("it has reconnected", || {
        connection.reconnects() == times && connection.state() == ConnectionState::Open
    });
}

pub(crate) fn declare(channel: &Channel, name: &str, change: impl FnOnce(&mut QueueDeclare)) {
    let mut declare = QueueDeclare { name: name.into(), ..QueueDeclare::default() };
    change(&mut declare);
    block_on(channel.declare_queue(declare)).unwrap();
}

pub(crate) fn next(consumer: &mut Consumer) -> String {
    let delivery = consumer.next_within(WAIT).unwrap().expect("a delivery");
    delivery.ack();
    String::from_utf8(delivery.body().to_vec()).unwrap()
}

/// Publishes until a consumer that is being restored has received one.
pub(crate) fn publish_until_consumed(channel: &Channel, queue: &str, consumer: &mut Consumer) {
    let deadline = Instant::now() + WAIT;
    loop {
        drop(publish(channel, queue, "again").wait());
        if consumer.next_within(Duration::from_millis(50)).unwrap().is_some() {
            return;
        }
        assert!(Instant::now() < deadline, "it never consumed again");
    }
}

/// A queue of each kind, bound to an exchange, each with a consumer.
pub(crate) struct QueueOfEachKind {
    pub(crate) channel: Channel,
    consumers: Vec<Consumer>,
}

pub(crate) const KINDS: [&str; 3] = ["exclusive", "auto-delete", "durable"];

impl QueueOfEachKind {
    pub(crate) fn build(connection: &Connection) -> Self {
        let channel = channel(connection);
        let exchange = ExchangeDeclare {
            name: "ex".into(),
            kind: "topic".into(),
            auto_delete: true,
            ..ExchangeDeclare::default()
        };
        block_on(channel.declare_exchange(exchange)).unwrap();
        let consumers = KINDS.map(|kind| {
            declare(&channel, kind, |queue| match kind {
                "exclusive" => queue.exclusive = true,
                "auto-delete" => queue.auto_delete = true,
                _ => queue.durable = true,
            });
            let bind = QueueBind {
                queue: kind.into(),
                exchange: "ex".into(),
                routing_key: format!("{kind}.#"),
                ..QueueBind::default()
            };
            block_on(channel.bind_queue(bind)).unwrap();
            block_on(channel.consume(Consume::from_queue(kind))).unwrap()
        });
        Self { channel, consumers: consumers.into() }
    }

    /// Publishes to each queue through the exchange and checks that its consumer receives the
    /// message once.
    pub(crate) fn assert_delivers(&mut self, round: &str) {
        for (kind, consumer) in KINDS.iter().zip(&mut self.consumers) {
            let route = Route {
                exchange: "ex".into(),
                routing_key: format!("{kind}.{round}"),
                mandatory: true,
            };
            let publisher = self.channel.publisher(route, &Properties::default()).unwrap();
            let outcome = publisher.publish_blocking(round.as_bytes(), WAIT).unwrap().wait();
            assert!(matches!(outcome, Outcome::Confirmed), "{kind}: {outcome:?}");
            assert_eq!(next(consumer), round, "{kind}");
            assert!(consumer.next_within(Duration::ZERO).unwrap().is_none());
        }
    }
}

/// Records the calls of the engine.
pub(crate) struct RecordingSink(pub(crate) std::sync::mpsc::Sender<&'static str>);

impl DeliverySink for RecordingSink {
    fn deliver(&mut self, _delivery: Delivery) -> Disposition {
        let _ = self.0.send("delivered");
        Disposition::Ack
    }

    fn cancelled(&mut self) {
        let _ = self.0.send("cancelled");
    }

    fn before_resubscribe(&mut self, arguments: &mut FieldTable) {
        arguments.insert("x-priority".into(), AMQPValue::LongInt(1));
        let _ = self.0.send("resuming");
    }

    fn closed(&mut self, _error: Option<leveret_engine::Error>) {
        let _ = self.0.send("ended");
    }
}

/// Waits for this event and skips others.
pub(crate) fn wait_for_event(events: &std::sync::mpsc::Receiver<&'static str>, event: &str) {
    while events.recv_timeout(WAIT).expect("an event") != event {}
}

/// Publishes one message after another until one is delivered.
pub(crate) fn publish_until_delivered(
    channel: &Channel,
    events: &std::sync::mpsc::Receiver<&'static str>,
) {
    let deadline = Instant::now() + WAIT;
    while !matches!(publish(channel, "q", "again").wait(), Outcome::Confirmed)
        || events.recv_timeout(WAIT) != Ok("delivered")
    {
        assert!(Instant::now() < deadline, "it never consumed again");
    }
}
