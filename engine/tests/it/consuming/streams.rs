//! Consumers of streams: RabbitMQ closes a connection that rejects a message of a stream (540), so
//! the engine acknowledges it instead.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};

use leveret_engine::{
    AMQPValue, Channel, Connection, ConnectionState, Consume, Delivery, DeliverySink, Disposition,
    Error, FieldTable, QueueDeclare, block_on,
};

use crate::support::setup::{WAIT, channel, config, engine, publish, until};

const STREAM: &str = "stream";
const MESSAGES: usize = 4;
const PREFETCH: u16 = 100;

fn argument(name: &str, value: AMQPValue) -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert(name.into(), value);
    arguments
}

/// A consumer of the whole stream.
fn from_the_first() -> Consume {
    let first = AMQPValue::LongString("first".into());
    let arguments = argument("x-stream-offset", first);
    Consume { arguments, ..Consume::from_queue(STREAM) }
}

/// A channel beside a stream with messages.
fn filled(vhost: &str, body_max: u64) -> (Connection, Channel) {
    let mut config = config(vhost);
    config.body_max = body_max;
    let connection = engine().connect_blocking(config).unwrap();
    let channel = channel(&connection);
    let arguments = argument("x-queue-type", AMQPValue::LongString("stream".into()));
    let declare =
        QueueDeclare { name: STREAM.into(), durable: true, arguments, ..QueueDeclare::default() };
    block_on(channel.declare_queue(declare)).unwrap();
    block_on(channel.set_prefetch(PREFETCH)).unwrap();
    for n in 0..MESSAGES {
        assert!(publish(&channel, STREAM, &n.to_string().repeat(2000)).wait().is_ok());
    }
    (connection, channel)
}

/// The broker has answered behind all answers, and the connection has never been lost.
fn assert_goes_on(connection: &Connection, channel: &Channel) {
    for _ in 0..3 {
        assert!(publish(channel, STREAM, "last").wait().is_ok());
    }
    assert_eq!((connection.state(), connection.reconnects()), (ConnectionState::Open, 0));
}

#[test]
fn a_message_may_be_rejected_by_its_handle() {
    let (connection, channel) = filled("stream-reject", u64::MAX);
    let mut consumer = block_on(channel.consume(from_the_first())).unwrap();
    for requeue in [true, false, true, false] {
        consumer.next_within(WAIT).unwrap().expect("it is in the stream").reject(requeue);
    }
    assert_goes_on(&connection, &channel);
}

struct Rejecting(Arc<AtomicUsize>);

impl DeliverySink for Rejecting {
    fn deliver(&mut self, _delivery: Delivery) -> Disposition {
        let seen = self.0.fetch_add(1, Ordering::SeqCst);
        assert!(seen > 0, "a sink may panic");
        Disposition::Reject { requeue: seen == 1 }
    }

    fn closed(&mut self, _error: Option<Error>) {}
}

#[test]
fn a_sink_may_reject_a_message_or_panic_at_it() {
    let (connection, channel) = filled("stream-sink", u64::MAX);
    let seen = Arc::new(AtomicUsize::new(0));
    let sink = Box::new(Rejecting(Arc::clone(&seen)));
    let _consumer = block_on(channel.consume_with(from_the_first(), sink)).unwrap();
    until("all were seen", || seen.load(Ordering::SeqCst) >= MESSAGES);
    assert_goes_on(&connection, &channel);
}

struct Oversized(mpsc::Sender<u64>);

impl DeliverySink for Oversized {
    fn deliver(&mut self, _delivery: Delivery) -> Disposition {
        Disposition::Ack
    }

    fn oversized(&mut self, _delivery: Delivery, size: u64) {
        let _ = self.0.send(size);
    }

    fn closed(&mut self, _error: Option<Error>) {}
}

#[test]
fn a_message_of_a_stream_may_be_too_large() {
    let (connection, channel) = filled("stream-oversized", 1000);
    let (report, sizes) = mpsc::channel();
    let sink = Box::new(Oversized(report));
    let _consumer = block_on(channel.consume_with(from_the_first(), sink)).unwrap();
    for _ in 0..MESSAGES {
        assert_eq!(sizes.recv_timeout(WAIT).unwrap(), 2000);
    }
    assert_goes_on(&connection, &channel);
}

#[test]
fn a_consumer_of_a_stream_may_be_cancelled_with_messages_on_their_way() {
    let (connection, channel) = filled("stream-cancel", u64::MAX);
    for _ in 0..20 {
        let consumer = block_on(channel.consume(from_the_first())).unwrap();
        block_on(consumer.cancel()).unwrap();
        drop(consumer);
    }
    assert_goes_on(&connection, &channel);
}
