//! Recovery after the loss of a connection: what is restored, and the outcome of publications in
//! flight.

use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use leveret_engine::loopback::{Loopback, LoopbackConfig};
use leveret_engine::{
    AMQPValue, Channel, Connection, ConnectionConfig, ConnectionState, Consume, Consumer,
    ConsumerState, Delivery, DeliverySink, Disposition, ErrorKind, ExchangeDeclare, FieldTable,
    Host, Outcome, Properties, PublishError, QueueBind, QueueDeclare, Route, block_on,
};
use leveret_support::Broker;

use crate::setup::{
    WAIT, channel, config, config_of, engine, loopback, publish, queue, quick, to, until,
};

fn lost(connection: &Connection, times: u64) {
    until("it came back", || {
        connection.reconnects() == times && connection.state() == ConnectionState::Open
    });
}

fn declare(channel: &Channel, name: &str, change: impl FnOnce(&mut QueueDeclare)) {
    let mut declare = QueueDeclare { name: name.into(), ..QueueDeclare::default() };
    change(&mut declare);
    block_on(channel.declare_queue(declare)).unwrap();
}

fn next(consumer: &mut Consumer) -> String {
    let delivery = consumer.next_within(WAIT).unwrap().expect("a delivery");
    delivery.ack();
    String::from_utf8(delivery.body().to_vec()).unwrap()
}

/// Publishes until a consumer that is being restored has received one.
fn until_consumed(channel: &Channel, queue: &str, consumer: &mut Consumer) {
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
struct House {
    channel: Channel,
    consumers: Vec<Consumer>,
}

const KINDS: [&str; 3] = ["exclusive", "auto-delete", "durable"];

impl House {
    fn build(connection: &Connection) -> Self {
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
    fn is_whole(&mut self, round: &str) {
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

// ---- what comes back

#[test]
fn channels_queues_bindings_and_consumers_come_back() {
    let peer = loopback();
    let connection = engine().connect_blocking(config_of(&peer)).unwrap();
    let mut house = House::build(&connection);
    house.is_whole("first");
    for times in 1..=3 {
        peer.drop_connections();
        lost(&connection, times);
        house.is_whole(&format!("again {times}"));
    }
    peer.close_connections(320, "CONNECTION_FORCED - maintenance");
    lost(&connection, 4);
    house.is_whole("after a close");
}

#[test]
fn one_declaration_that_fails_now_does_not_take_the_others_along() {
    let peer = loopback();
    let connection = engine().connect_blocking(config_of(&peer)).unwrap();
    let channel = channel(&connection);
    for name in ["a", "b", "c"] {
        declare(&channel, name, |queue| queue.exclusive = true);
    }
    let mut consumer = block_on(channel.consume(Consume::from_queue("c"))).unwrap();
    peer.refuse_declare("a", 406, "PRECONDITION_FAILED - not a");
    peer.drop_connections();
    lost(&connection, 1);
    assert!(matches!(publish(&channel, "b", "to b").wait(), Outcome::Confirmed));
    assert!(matches!(publish(&channel, "c", "to c").wait(), Outcome::Confirmed));
    assert_eq!(next(&mut consumer), "to c");
    assert!(matches!(publish(&channel, "a", "to a").wait(), Outcome::Returned(_)));
    assert_eq!(connection.reconnects(), 1);
}

#[test]
fn what_was_deleted_or_unbound_stays_away() {
    let peer = loopback();
    let connection = engine().connect_blocking(config_of(&peer)).unwrap();
    let channel = channel(&connection);
    declare(&channel, "gone", |queue| queue.exclusive = true);
    declare(&channel, "kept", |queue| queue.exclusive = true);
    block_on(channel.delete_queue("gone", false, false)).unwrap();
    peer.drop_connections();
    lost(&connection, 1);
    assert_eq!(peer.queue_len("/", "kept"), Some(0));
    assert_eq!(peer.queue_len("/", "gone"), None);
}

#[test]
fn what_a_closed_channel_leaves_to_nobody_stays_away() {
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
    lost(&connection, 1);
    until("what others consume is back", || peer.queue_len("/", "kept").is_some());
    assert_eq!(peer.queue_len("/", "gone"), None);
}

#[test]
fn a_channel_closed_while_its_broker_is_away_does_not_come_back() {
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
    lost(&connection, 1);
    assert!(publish(&staying, "q", "for others").wait().is_ok());
    assert_eq!(peer.queue_len("/", "q"), Some(1), "nobody took it");
}

#[test]
fn a_queue_that_went_without_a_word_is_made_again() {
    let peer = loopback();
    let connection = engine().connect_blocking(config_of(&peer)).unwrap();
    let channel = channel(&connection);
    declare(&channel, "q", |queue| queue.auto_delete = true);
    declare(&channel, "other", |queue| queue.durable = true);
    let mut consumer = block_on(channel.consume(Consume::from_queue("q"))).unwrap();
    let mut other = block_on(channel.consume(Consume::from_queue("other"))).unwrap();
    peer.drop_connections();
    lost(&connection, 1);
    until_consumed(&channel, "q", &mut consumer);
    assert!(peer.lose_queue("/", "q"));
    assert!(matches!(publish(&channel, "q", "lost").wait(), Outcome::Returned(_)));
    until_consumed(&channel, "q", &mut consumer);
    assert!(publish(&channel, "other", "untouched").wait().is_ok());
    assert_eq!(next(&mut other), "untouched");
    assert_eq!(connection.reconnects(), 1);
}

#[test]
fn a_delivery_knows_that_the_broker_has_it_back() {
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

// ---- publications under way

#[test]
fn retained_ones_are_sent_again_and_others_are_maybe_sent() {
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
    let status = connection.status();
    assert_eq!(status.host, peer.addr().to_string());
    assert_eq!(status.last_error.unwrap().kind(), ErrorKind::ConnectionClosed);
}

#[test]
fn a_delay_is_kept_before_the_first_attempt() {
    let peer = loopback();
    let mut config = config_of(&peer);
    config.recovery.delay = Duration::from_millis(300);
    config.recovery.splay = Duration::from_millis(10);
    let connection = engine().connect_blocking(config).unwrap();
    let start = Instant::now();
    peer.drop_connections();
    lost(&connection, 1);
    assert!(start.elapsed() >= Duration::from_millis(300), "{:?}", start.elapsed());
}

/// Records the calls of the engine.
struct Resumed(std::sync::mpsc::Sender<&'static str>);

impl DeliverySink for Resumed {
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

#[test]
fn a_sink_is_asked_before_its_consumer_begins_again() {
    let peer = loopback();
    let connection = engine().connect_blocking(config_of(&peer)).unwrap();
    let channel = channel(&connection);
    declare(&channel, "q", |queue| queue.durable = true);
    let (sender, events) = std::sync::mpsc::channel();
    let sink = Box::new(Resumed(sender));
    let handle = block_on(channel.consume_with(Consume::from_queue("q"), sink)).unwrap();
    assert!(events.try_recv().is_err(), "the first time it begins as it was asked to");
    peer.drop_connections();
    heard(&events, "resuming");
    until_delivered(&channel, &events);
    // Another client deletes the queue: the broker cancels the consumer, and the engine declares
    // the queue again.
    let other = engine().connect_blocking(config_of(&peer)).unwrap();
    block_on(self::channel(&other).delete_queue("q", false, false)).unwrap();
    heard(&events, "cancelled");
    heard(&events, "resuming");
    until_delivered(&channel, &events);
    drop(handle);
}

#[test]
fn a_consumer_cancelled_while_the_broker_is_away_does_not_come_back() {
    let peer = loopback();
    let port = peer.addr().port();
    let mut config = config_of(&peer);
    config.operation_timeout = Duration::from_secs(2);
    let connection = engine().connect_blocking(config).unwrap();
    let channel = channel(&connection);
    declare(&channel, "q", |queue| queue.durable = true);
    let (sender, left) = std::sync::mpsc::channel();
    let sink = Box::new(Resumed(sender));
    let handle = block_on(channel.consume_with(Consume::from_queue("q"), sink)).unwrap();
    declare(&channel, "stays", |queue| queue.durable = true);
    let (sender, stays) = std::sync::mpsc::channel();
    let sink = Box::new(Resumed(sender));
    block_on(channel.consume_with(Consume::from_queue("stays"), sink)).unwrap();
    peer.stop();
    until("it is lost", || connection.state() == ConnectionState::Connecting);
    assert_eq!(block_on(handle.cancel()).unwrap_err().kind(), ErrorKind::TimedOut);
    heard(&left, "ended");
    let peer = Loopback::start(LoopbackConfig { port, ..LoopbackConfig::default() }).unwrap();
    // Consumers are restored in the order in which they were started.
    heard(&stays, "resuming");
    assert!(left.try_recv().is_err(), "nobody is asked, and nobody consumes");
    let publisher = channel.publisher(to("q"), &Properties::default()).unwrap();
    assert!(matches!(
        publisher.publish_blocking(&b"kept"[..], WAIT).unwrap().wait(),
        Outcome::Confirmed
    ));
    assert_eq!(peer.queue_len("/", "q"), Some(1));
    block_on(handle.cancel()).expect("there is nothing left to cancel");
}

/// Waits for this event and skips others.
fn heard(events: &std::sync::mpsc::Receiver<&'static str>, event: &str) {
    while events.recv_timeout(WAIT).expect("an event") != event {}
}

/// Publishes one message after another until one is delivered.
fn until_delivered(channel: &Channel, events: &std::sync::mpsc::Receiver<&'static str>) {
    let deadline = Instant::now() + WAIT;
    while !matches!(publish(channel, "q", "again").wait(), Outcome::Confirmed)
        || events.recv_timeout(WAIT) != Ok("delivered")
    {
        assert!(Instant::now() < deadline, "it never consumed again");
    }
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
    let Outcome::NotSent(error) = short.wait() else { panic!("nobody could have it") };
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    let peer = Loopback::start(LoopbackConfig { port, ..LoopbackConfig::default() }).unwrap();
    assert!(matches!(long.wait(), Outcome::Confirmed));
    assert_eq!(peer.stats().published, 1, "the one that timed out never left");
}

#[test]
fn what_is_sent_again_is_not_sent_after_its_deadline() {
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
    assert_eq!(peer.stats().published, 1, "nobody waits for the other one");
}

#[test]
fn headers_a_broker_has_no_frames_for_are_refused() {
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
fn bodies_are_cut_anew_for_a_broker_with_smaller_frames() {
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

// ---- hosts

fn dead_host() -> Host {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    Host::new("127.0.0.1", listener.local_addr().unwrap().port())
}

#[test]
fn one_host_of_two_may_be_dead() {
    let (engine, peer) = (engine(), loopback());
    let host = Host::new("127.0.0.1", peer.addr().port());
    for hosts in [vec![host.clone(), dead_host()], vec![dead_host(), host]] {
        for _ in 0..4 {
            let connection = engine.connect_blocking(ConnectionConfig::new(hosts.clone())).unwrap();
            channel(&connection);
        }
    }
}

#[test]
fn a_connection_moves_to_the_host_that_lives() {
    let (one, two) = (loopback(), loopback());
    let hosts = [&one, &two].map(|peer| Host::new("127.0.0.1", peer.addr().port()));
    let connection = engine().connect_blocking(ConnectionConfig::new(hosts.into())).unwrap();
    let mut house = House::build(&connection);
    house.is_whole("here");
    let (dead, alive) = if one.stats().connections == 1 { (one, two) } else { (two, one) };
    dead.stop();
    lost(&connection, 1);
    assert_eq!(alive.stats().connections, 1);
    house.is_whole("there");
}

#[test]
fn connect_goes_round_until_its_deadline() {
    let host = dead_host();
    let port = host.port;
    let mut config = ConnectionConfig::new(vec![host]);
    config.connect_deadline = Duration::from_millis(300);
    let begun = Instant::now();
    let error = engine().connect_blocking(config.clone()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(begun.elapsed() >= Duration::from_millis(300));
    config.connect_deadline = WAIT;
    let late = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(200));
        Loopback::start(LoopbackConfig { port, ..LoopbackConfig::default() }).unwrap()
    });
    engine().connect_blocking(config).unwrap();
    late.join().unwrap().stop();
}

// ---- consumers and channels the broker takes away

#[test]
fn a_consumer_whose_queue_was_deleted_gets_it_back_if_it_had_declared_it() {
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
        until_consumed(&other, "q", &mut consumer);
        assert_eq!(connection.reconnects(), 0);
    }
}

#[test]
fn a_consumer_of_a_foreign_queue_waits_a_while_for_it() {
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
        until_consumed(&other, "foreign", &mut foreign);
        until_consumed(&consuming, "own", &mut own);
        let status = connection.status();
        assert_eq!(connection.reconnects(), 0, "no tag was used twice: {status:?}");
    }
}

#[test]
fn a_consumer_is_tried_for_as_long_as_its_queue_is_away() {
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
    assert!(status.since.elapsed() >= Duration::from_secs(14), "one wait, not many");
    queue(&other, "foreign");
    assert!(publish(&other, "foreign", "at last").wait().is_ok());
    let delivery = consumer.next_within(Duration::from_secs(6)).unwrap().expect("a delivery");
    assert_eq!(&*delivery.body().contiguous(), b"at last");
    until("it says so", || consumer.handle().status().is_consuming());
    assert_eq!(connection.reconnects(), 0);
}

/// As after the end of a connection that the broker has not noticed yet.
#[test]
fn an_exclusive_queue_is_waited_for_beside_others() {
    if quick("an exclusive queue that stays locked") {
        return;
    }
    let peer = loopback();
    let connection = engine().connect_blocking(config_of(&peer)).unwrap();
    let channel = channel(&connection);
    declare(&channel, "q", |queue| queue.exclusive = true);
    let (sender, events) = std::sync::mpsc::channel();
    let sink = Box::new(Resumed(sender));
    let locked = block_on(channel.consume_with(Consume::from_queue("q"), sink)).unwrap();
    declare(&channel, "other", |queue| queue.durable = true);
    let mut other = block_on(channel.consume(Consume::from_queue("other"))).unwrap();
    peer.refuse_declare("q", 405, "RESOURCE_LOCKED - of another connection");
    peer.drop_connections();
    lost(&connection, 1);
    assert!(matches!(publish(&channel, "other", "held").wait(), Outcome::Confirmed));
    let held = other.next_within(WAIT).unwrap().expect("a delivery");
    // More attempts than the engine makes for a missing queue.
    for _ in 0..10 {
        heard(&events, "resuming");
    }
    held.ack();
    assert!(matches!(publish(&channel, "other", "next").wait(), Outcome::Confirmed));
    assert_eq!(next(&mut other), "next", "nothing was taken back, so nothing came again");
    peer.script(|script| script.refused_declares.clear());
    until_delivered(&channel, &events);
    drop(locked);
}

#[test]
fn a_channel_exception_is_reported_and_the_channel_opens_again() {
    let peer = loopback();
    for to_broker in [config_of(&peer), config("recovery-channel")] {
        let connection = engine().connect_blocking(to_broker).unwrap();
        let channel = channel(&connection);
        queue(&channel, "q");
        let mut consumer = block_on(channel.consume(Consume::from_queue("q"))).unwrap();
        let nowhere = Route { exchange: "missing".into(), ..Route::default() };
        let nowhere = channel.publisher(nowhere, &Properties::default()).unwrap();
        let confirm = nowhere.publish_blocking("lost".as_bytes(), WAIT).unwrap();
        let Outcome::Refused(error, _) = confirm.wait() else { panic!("there is no exchange") };
        assert_eq!((error.kind(), error.reply_code()), (ErrorKind::ChannelClosed, Some(404)));
        until_consumed(&channel, "q", &mut consumer);

        let durable = QueueDeclare { name: "q".into(), durable: true, ..QueueDeclare::default() };
        let error = block_on(channel.declare_queue(durable)).unwrap_err();
        assert_eq!((error.kind(), error.reply_code()), (ErrorKind::ChannelClosed, Some(406)));
        let passive =
            QueueDeclare { name: "none".into(), passive: true, ..QueueDeclare::default() };
        let error = block_on(channel.declare_queue(passive)).unwrap_err();
        assert_eq!(error.reply_code(), Some(404));
        queue(&channel, "another");
        until_consumed(&channel, "q", &mut consumer);
        assert_eq!((connection.reconnects(), connection.state()), (0, ConnectionState::Open));
    }
}

#[test]
fn a_channel_may_end_in_the_middle_of_what_it_sends() {
    let peer = loopback();
    for to_broker in [config_of(&peer), config("recovery-middle")] {
        let connection = engine().connect_blocking(to_broker).unwrap();
        let channel = channel(&connection);
        queue(&channel, "q");
        let nowhere = Route { exchange: "missing".into(), ..Route::default() };
        let nowhere = channel.publisher(nowhere, &Properties::default()).unwrap();
        let good = channel.publisher(to("q"), &Properties::default()).unwrap();
        let body = vec![7; 8000];
        for _ in 0..20 {
            let mut confirms = vec![nowhere.publish_blocking(&body, WAIT).unwrap()];
            confirms.extend((0..400).map(|_| good.publish_blocking(&body, WAIT).unwrap()));
            for confirm in confirms {
                drop(confirm.wait());
            }
        }
        assert_eq!((connection.reconnects(), connection.state()), (0, ConnectionState::Open));
    }
}

// ---- blocked

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
fn a_connection_may_begin_blocked_and_recover_blocked() {
    let peer = loopback();
    peer.block_publishers("disk");
    let connection = engine().connect_blocking(config_of(&peer)).unwrap();
    let blocked = ConnectionState::Blocked("disk".into());
    assert_eq!(connection.state(), blocked);
    let channel = channel(&connection);
    queue(&channel, "q");
    let confirm = publish(&channel, "q", "later");
    peer.drop_connections();
    until("it came back", || connection.reconnects() == 1 && connection.state() == blocked);
    assert_eq!(peer.stats().published, 0);
    peer.unblock_publishers();
    assert!(matches!(confirm.wait(), Outcome::Confirmed));
}

#[test]
fn a_full_outbox_while_blocked_is_said_to_whoever_publishes() {
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

// ---- RabbitMQ itself

#[test]
fn a_killed_broker_is_found_again() {
    if quick("a killed broker") {
        return;
    }
    let broker = Broker::start();
    let mut config = ConnectionConfig::to("127.0.0.1", broker.port());
    config.recovery.backoff_max = Duration::from_secs(1);
    let connection = engine().connect_blocking(config).unwrap();
    let mut house = House::build(&connection);
    house.is_whole("before");
    let durable = QueueDeclare { name: "kept".into(), durable: true, ..QueueDeclare::default() };
    block_on(house.channel.declare_queue(durable)).unwrap();
    let publisher = house.channel.publisher(to("kept"), &Properties::default()).unwrap();
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
    house.is_whole("after");
}

#[test]
fn a_memory_alarm_blocks_and_its_end_unblocks() {
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
