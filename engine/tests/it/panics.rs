//! User code that panics on a shard: wakers, sinks, subscribers. A panic costs only the current
//! operation, never a deadline, a connection or another consumer.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel as pipe;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use leveret_engine::{
    AMQPValue, Channel, ChannelOptions, ConnectionState, Consume, Consumer, ConsumerHandle,
    Delivery, DeliverySink, Disposition, Engine, EngineConfig, Error, FailureSink, FieldTable,
    Outcome, Properties, Shard, block_on,
};
use leveret_support::EventSubscriber;
use tokio::task::{LocalSet, spawn_local};
use tracing::Event;

use crate::support::setup::{
    WAIT, backend, channel, config_of, engine, loopback, publish, queue, to, until,
};

/// A waker that panics.
struct PanickingWaker;

impl Wake for PanickingWaker {
    fn wake(self: Arc<Self>) {
        panic!("a waker panics");
    }
}

/// Polls once with a waker that panics.
fn poll_with_panicking_waker<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(&Waker::from(Arc::new(PanickingWaker))))
}

/// Returns the result of `wait`; fails if it takes too long.
fn within_limit<T: Send + 'static>(wait: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, answer) = pipe();
    std::thread::spawn(move || sender.send(wait()));
    answer.recv_timeout(WAIT).expect("it did not end in time")
}

fn panics(engine: &Engine) -> u64 {
    engine.stats().iter().map(|shard| shard.panics).sum()
}

#[test]
fn deadlines_hold_after_a_waker_panicked() {
    let engine = engine();
    let tickets = engine.tickets::<()>();
    let soon = std::time::Instant::now() + Duration::from_millis(20);
    let mut broken = std::pin::pin!(tickets.open(Some(soon)));
    assert!(poll_with_panicking_waker(broken.as_mut()).is_pending());
    let sound = tickets.open(Some(soon + Duration::from_millis(30)));
    assert!(within_limit(move || sound.wait()).is_err());
    assert!(poll_with_panicking_waker(broken.as_mut()).is_ready(), "it has ended as well");
    assert_eq!(panics(&engine), 1);
}

#[test]
fn a_connection_recovers_although_the_waker_of_its_opener_panicked() {
    let (engine, peer) = (engine(), loopback());
    // A delay, so that the waker is registered before the reply.
    peer.script(|script| script.delay = Duration::from_millis(50));
    let mut connecting = std::pin::pin!(engine.connect(config_of(&peer)));
    assert!(poll_with_panicking_waker(connecting.as_mut()).is_pending());
    until("it is open", || panics(&engine) == 1);
    let Poll::Ready(Ok(connection)) = poll_with_panicking_waker(connecting.as_mut()) else {
        panic!("not open")
    };
    let mut opening = Box::pin(connection.open_channel(ChannelOptions::default()));
    assert!(poll_with_panicking_waker(opening.as_mut()).is_pending());
    until("it is answered", || panics(&engine) == 2);
    let Poll::Ready(Ok(channel)) = poll_with_panicking_waker(opening.as_mut()) else {
        panic!("no channel")
    };
    peer.script(|script| script.delay = Duration::ZERO);
    peer.drop_connections();
    until("it is back", || {
        connection.reconnects() == 1 && connection.state() == ConnectionState::Open
    });
    queue(&channel, "q");
    assert!(publish(&channel, "q", "x").wait().is_ok());
}

#[test]
fn a_timer_continues_after_an_action_panicked() {
    let engine = engine();
    let (timer, other) = (engine.timer(), engine.timer());
    let (sender, ran) = pipe();
    timer.after(Duration::ZERO, || panic!("an action panics"));
    for timer in [&timer, &other] {
        let sender = sender.clone();
        timer.after(Duration::from_millis(20), move || sender.send(()).unwrap());
    }
    ran.recv_timeout(WAIT).expect("the same timer continues");
    ran.recv_timeout(WAIT).expect("others continue");
    assert_eq!(panics(&engine), 1);
}

/// Panics at odd cookies.
#[derive(Default)]
struct PanicsAtOddCookies(Mutex<Vec<u64>>);

impl FailureSink for PanicsAtOddCookies {
    fn publish_failed(&self, cookie: u64, _: Outcome) {
        assert!(cookie.is_multiple_of(2), "a refusal sink panics");
        self.0.lock().unwrap().push(cookie);
    }
}

#[test]
fn a_panicking_refusal_sink_loses_only_its_own_refusals() {
    let (engine, peer) = (engine(), loopback());
    let connection = engine.connect_blocking(config_of(&peer)).unwrap();
    let channel = channel(&connection);
    let publisher = channel.publisher(to("nobody"), &Properties::default()).unwrap();
    let refused = Arc::new(PanicsAtOddCookies::default());
    let reporting = publisher.with_failure_sink(Arc::clone(&refused) as _);
    let heard = |cookies: &[u64]| {
        until("they are reported", || *refused.0.lock().unwrap() == cookies);
        refused.0.lock().unwrap().clear();
    };
    for cookie in 0..7 {
        reporting.try_publish("x".as_bytes(), WAIT, cookie).unwrap();
    }
    heard(&[0, 2, 4, 6]);
    assert_eq!(panics(&engine), 3);
    // The same through the deadline of the publication.
    peer.script(|script| script.withhold_confirms = true);
    queue(&channel, "q");
    let publisher = channel.publisher(to("q"), &Properties::default()).unwrap();
    let reporting = publisher.with_failure_sink(Arc::clone(&refused) as _);
    for cookie in 0..3 {
        let timeout = Duration::from_millis(10 + 20 * cookie);
        reporting.try_publish("x".as_bytes(), timeout, cookie).unwrap();
    }
    heard(&[0, 2]);
    assert_eq!((panics(&engine), connection.reconnects()), (4, 0));
}

/// The method of the sink that panics.
#[derive(Clone, Copy, Debug, PartialEq)]
enum SinkMethod {
    Deliver,
    Flush,
    IsFull,
    TakesTheLast,
    Cancelled,
    Resuming,
    Ended,
    Drop,
}

/// Counts deliveries and panics in one of its methods.
struct PanickingSink {
    method: SinkMethod,
    taken: Arc<AtomicUsize>,
}

impl PanickingSink {
    fn panic_in(&self, method: SinkMethod) {
        assert_ne!(self.method, method, "a sink panics");
    }
}

impl DeliverySink for PanickingSink {
    fn deliver(&mut self, delivery: Delivery) -> Disposition {
        if delivery.body().contiguous().as_ref() == b"bad" {
            self.panic_in(SinkMethod::Deliver);
        }
        self.taken.fetch_add(1, Ordering::Relaxed);
        Disposition::Ack
    }

    fn flush(&mut self) {
        self.panic_in(SinkMethod::Flush);
    }

    fn is_full(&self) -> bool {
        self.panic_in(SinkMethod::IsFull);
        false
    }

    fn accepts_while_cancelling(&self) -> bool {
        self.panic_in(SinkMethod::TakesTheLast);
        false
    }

    fn cancelled(&mut self) {
        self.panic_in(SinkMethod::Cancelled);
    }

    fn before_resubscribe(&mut self, arguments: &mut FieldTable) {
        arguments.insert("x-priority".into(), AMQPValue::LongInt(1));
        self.panic_in(SinkMethod::Resuming);
    }

    fn closed(&mut self, _: Option<Error>) {
        self.panic_in(SinkMethod::Ended);
    }
}

impl Drop for PanickingSink {
    fn drop(&mut self) {
        self.panic_in(SinkMethod::Drop);
    }
}

fn consume(channel: &Channel, method: SinkMethod) -> (ConsumerHandle, Arc<AtomicUsize>) {
    queue(channel, "fragile");
    let taken = Arc::new(AtomicUsize::new(0));
    let sink = Box::new(PanickingSink { method, taken: Arc::clone(&taken) });
    let consumer = channel.consume_with(Consume::from_queue("fragile"), sink);
    (block_on(consumer).unwrap(), taken)
}

/// A consumer beside the panicking one, which must continue.
fn other_consumer(channel: &Channel) -> Consumer {
    queue(channel, "sound");
    block_on(channel.consume(Consume::from_queue("sound"))).unwrap()
}

fn check_panicking_sink(method: SinkMethod) {
    let (engine, peer) = (engine(), loopback());
    let connection = engine.connect_blocking(config_of(&peer)).unwrap();
    let channel = channel(&connection);
    let mut sound = other_consumer(&channel);
    let (consumer, taken) = consume(&channel, method);
    for body in ["good", "bad", "good"] {
        assert!(publish(&channel, "fragile", body).wait().is_ok());
    }
    let expected = if method == SinkMethod::Deliver { 2 } else { 3 };
    until("it continues", || taken.load(Ordering::Relaxed) == expected);
    // The delivery at which it panicked is rejected without requeue.
    until("all are settled", || peer.stats().acked == 3);
    // Another client deletes the queue; the consumer returns with it.
    let other = engine.connect_blocking(config_of(&peer)).unwrap();
    let deleting = crate::support::setup::channel(&other);
    block_on(deleting.delete_queue("fragile", false, false)).unwrap();
    until("it is back", || publish(&deleting, "fragile", "good").wait().is_ok());
    until("it continues", || taken.load(Ordering::Relaxed) > expected);
    assert!(publish(&channel, "sound", "x").wait().is_ok());
    sound.next_within(WAIT).unwrap().expect("others continue").ack();
    block_on(consumer.cancel()).unwrap();
    assert!(panics(&engine) >= 1, "{method:?} is counted");
    assert_eq!((connection.state(), connection.reconnects()), (ConnectionState::Open, 0));
    block_on(connection.close()).unwrap();
}

#[test]
fn a_panicking_delivery_sink_delays_no_other_consumer() {
    use SinkMethod::{Cancelled, Deliver, Drop, Ended, Flush, IsFull, Resuming, TakesTheLast};
    for method in [Deliver, Flush, IsFull, TakesTheLast, Cancelled, Resuming, Ended, Drop] {
        within_limit(move || check_panicking_sink(method));
    }
}

/// On an attached shard, so that only this thread has the subscriber.
#[test]
fn a_subscriber_that_panics_ends_no_connection() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let peer = loopback();
        let (engine, shard) =
            Shard::attach(EngineConfig::default().with_backend(backend())).unwrap();
        let shard = spawn_local(shard);
        let panicking =
            EventSubscriber(|event: &Event<'_>| panic!("{} panics", event.metadata().name()));
        let subscriber = tracing::subscriber::set_default(panicking);
        let story = async {
            let mut config = config_of(&peer);
            // The first host refuses, so that this is logged as well.
            config.hosts.insert(0, leveret_engine::Host::new("127.0.0.1", 1));
            config.recovery.backoff = Duration::from_millis(10);
            let connection = engine.connect(config).await.unwrap();
            let channel = connection.open_channel(ChannelOptions::default()).await.unwrap();
            let declare = leveret_engine::QueueDeclare { name: "q".into(), ..Default::default() };
            channel.declare_queue(declare.clone()).await.unwrap();
            let mut consumer = channel.consume(Consume::from_queue("q")).await.unwrap();
            let publisher = channel.publisher(to("q"), &Properties::default()).unwrap();
            for round in 0..3 {
                match round {
                    0 => drop(channel.delete_queue("q", false, false).await),
                    1 => peer.drop_connections(),
                    _ => peer.close_channels(406, "an operator did it"),
                }
                while channel.declare_queue(declare.clone()).await.is_err() {}
                while !publisher.publish("x".as_bytes(), WAIT).await.unwrap().await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                consumer.next().await.unwrap().expect("it consumes again").ack();
            }
            connection.close().await.unwrap();
        };
        tokio::time::timeout(WAIT, story).await.expect("it did not end in time");
        drop(subscriber);
        assert!(panics(&engine) >= 1, "they are counted");
        engine.stop();
        shard.await.unwrap().unwrap();
    });
}
