//! No reply and no silence of a broker ends a connection that was open once, or a consumer that has
//! started.

use std::error::Error as _;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use leveret_engine::loopback::{Loopback, Script};
use leveret_engine::{
    ChannelOptions, ConnectMode, Connection, ConnectionConfig, ConnectionState, Consume,
    ConsumerState, EngineConfig, ErrorKind, Host, Outcome, QueueDeclare, Shard, block_on,
};

use crate::support::setup::{
    WAIT, backend, channel, config_of, engine, loopback, publish, queue, until,
};

/// How soon a connection or consumer works again once the broker accepts it.
const SOON: Duration = Duration::from_secs(6);

fn host(peer: &Loopback) -> Host {
    Host::new("127.0.0.1", peer.addr().port())
}

fn is_open(connection: &Connection) -> bool {
    connection.state() == ConnectionState::Open
}

/// Waits until the last attempt has failed with this kind of error.
fn wait_until_refused(connection: &Connection, kind: ErrorKind) {
    until("it was refused", || {
        let status = connection.status();
        status.state == ConnectionState::Connecting
            && status.last_error.is_some_and(|error| error.kind() == kind)
    });
}

/// A change of the script, and the kind of error that it causes.
type Refusal = (fn(&mut Script), ErrorKind);

/// Refusals of a broker that is not configured yet, or no longer.
fn refusals() -> [Refusal; 3] {
    [
        (
            |script| script.refused_open = Some((403, "ACCESS_REFUSED - no such user".into())),
            ErrorKind::AccessRefused,
        ),
        (
            |script| script.refused_open = Some((530, "NOT_ALLOWED - vhost / not found".into())),
            ErrorKind::VhostRefused,
        ),
        (
            |script| script.greeting = Some(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()),
            ErrorKind::NotAmqp,
        ),
    ]
}

#[test]
fn a_refusal_after_the_first_success_is_a_state_with_a_reason() {
    for (refuse, kind) in refusals() {
        let peer = loopback();
        let connection = engine().connect_blocking(config_of(&peer)).unwrap();
        let channel = channel(&connection);
        queue(&channel, "q");
        let mut consumer = block_on(channel.consume(Consume::from_queue("q"))).unwrap();
        peer.script(refuse);
        peer.drop_connections();
        wait_until_refused(&connection, kind);
        let status = consumer.handle().status();
        assert!(matches!(status.state, ConsumerState::Waiting(reason) if reason.kind() == kind));
        let publisher =
            channel.publisher(crate::support::setup::to("q"), &Default::default()).unwrap();
        let confirm = publisher.publish_blocking(b"m".as_slice(), Duration::from_millis(100));
        let Outcome::NotSent(error) = confirm.unwrap().wait() else { panic!("it was not sent") };
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        let reason = error.source().and_then(|source| source.downcast_ref()).cloned();
        assert_eq!(reason.map(|reason: leveret_engine::Error| reason.kind()), Some(kind));

        peer.script(|script| *script = Script::default());
        let begun = Instant::now();
        until("it is open again", || is_open(&connection));
        assert!(begun.elapsed() < SOON);
        until("it consumes again", || consumer.handle().status().is_consuming());
        assert!(publish(&channel, "q", "back").wait().is_ok());
        let delivery = consumer.next_within(WAIT).unwrap().expect("a delivery");
        assert_eq!(&*delivery.body().contiguous(), b"back");
    }
}

#[test]
fn a_host_that_refuses_is_skipped() {
    for (refuse, kind) in refusals() {
        let (bad, good) = (loopback(), loopback());
        bad.script(refuse);
        let config = ConnectionConfig::new(vec![host(&bad), host(&good)]);
        let engine = engine();
        for _ in 0..10 {
            engine.connect_blocking(config.clone()).unwrap();
        }
        let connection = engine.connect_blocking(config.clone()).unwrap();
        for times in 1..4 {
            good.drop_connections();
            until("it has reconnected", || {
                connection.reconnects() == times && is_open(&connection)
            });
        }
        good.script(refuse);
        let error = engine.connect_blocking(config).unwrap_err();
        assert_eq!(error.kind(), kind);
        assert!(error.to_string().starts_with("none of 2 hosts could be used: "), "{error}");
    }
}

#[test]
fn a_first_connect_that_every_host_refuses_fails_before_its_deadline() {
    let peer = loopback();
    peer.script(refusals()[0].0);
    let mut config = config_of(&peer);
    config.connect_deadline = Duration::from_secs(60);
    let begun = Instant::now();
    let error = engine().connect_blocking(config).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AccessRefused);
    assert!(begun.elapsed() < WAIT);
}

#[test]
fn a_lazy_connection_opens_without_a_broker() {
    let peer = loopback();
    peer.script(refusals()[0].0);
    let mut config = config_of(&peer);
    config.connect = ConnectMode::Lazy;
    let engine = engine();
    let connection = engine.connect_blocking(config.clone()).unwrap();
    wait_until_refused(&connection, ErrorKind::AccessRefused);
    peer.script(|script| *script = Script::default());
    let channel = channel(&connection);
    assert!(matches!(publish(&channel, "nobody", "m").wait(), Outcome::Returned(_)));

    peer.script(refusals()[0].0);
    let closed = engine.connect_blocking(config).unwrap();
    block_on(closed.close()).unwrap();
    assert_eq!(closed.state(), ConnectionState::Closed);
}

/// Starts a peer that closes each connection at once; returns the number of connections.
fn peer_that_closes_at_once() -> (ConnectionConfig, Arc<AtomicUsize>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut config = ConnectionConfig::to("127.0.0.1", listener.local_addr().unwrap().port());
    config.connect = ConnectMode::Lazy;
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&accepted);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            drop(stream);
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    (config, accepted)
}

#[test]
fn a_broker_that_ends_each_connection_at_once_is_retried_slowly() {
    let (config, accepted) = peer_that_closes_at_once();
    let connection = engine().connect_blocking(config).unwrap();
    std::thread::sleep(Duration::from_secs(2));
    // Back-off of 0.1, 0.2, 0.4, 0.8 s …; full jitter makes only few of the pauses short.
    let attempts = accepted.load(Ordering::SeqCst);
    assert!((2..40).contains(&attempts), "{attempts} attempts in 2 s");
    block_on(connection.close()).unwrap();
}

/// Returns the processor time of this thread.
fn processor_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

/// On an attached shard, whose processor time is that of this thread.
#[test]
fn a_broker_that_ends_each_connection_at_once_costs_little_processor_time() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let (config, accepted) = peer_that_closes_at_once();
        let choice = EngineConfig::default().with_backend(backend());
        let (engine, shard) = Shard::attach(choice).unwrap();
        let shard = tokio::task::spawn_local(shard);
        let before = processor_time();
        let connection = engine.connect(config).await.unwrap();
        let span = Duration::from_secs(5);
        tokio::time::sleep(span).await;
        let used = processor_time() - before;
        let attempts = accepted.load(Ordering::SeqCst);
        assert!(attempts >= 2 && used < span / 100, "{attempts} attempts took {used:?}");
        drop(connection);
        engine.stop();
        shard.await.unwrap().unwrap();
    });
}

#[test]
fn channel_numbers_are_reused_and_running_out_fails_one_operation() {
    let peer = loopback();
    let mut config = config_of(&peer);
    config.channel_max = 8;
    let connection = engine().connect_blocking(config).unwrap();
    let kept = channel(&connection);
    for _ in 0..50 {
        let channel = channel(&connection);
        assert_ne!(channel.number(), kept.number());
        block_on(channel.close()).unwrap();
    }
    let others: Vec<_> = (0..7).map(|_| channel(&connection)).collect();
    let error = block_on(connection.open_channel(ChannelOptions::default())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ChannelClosed);
    assert!(error.to_string().contains("all 8 channels"), "{error}");
    for channel in others.iter().chain([&kept]) {
        assert!(matches!(publish(channel, "nobody", "m").wait(), Outcome::Returned(_)));
    }
    block_on(others[3].close()).unwrap();
    assert_eq!(channel(&connection).number(), others[3].number());
    assert_eq!(connection.reconnects(), 0);
}

#[test]
fn a_request_left_unanswered_moves_the_connection_to_another_host() {
    let (stuck, healthy) = (loopback(), loopback());
    let mut config = ConnectionConfig::new(vec![host(&stuck), host(&healthy)]);
    config.operation_timeout = Duration::from_millis(400);
    let engine = engine();
    let connection = loop {
        let connection = engine.connect_blocking(config.clone()).unwrap();
        if stuck.stats().connections == 1 {
            break connection;
        }
        block_on(connection.close()).unwrap();
    };
    let channel = channel(&connection);
    let durable = QueueDeclare { name: "q".into(), durable: true, ..QueueDeclare::default() };
    block_on(channel.declare_queue(durable)).unwrap();
    let mut consumer = block_on(channel.consume(Consume::from_queue("q"))).unwrap();
    stuck.script(|script| script.unanswered_declares.push("q".into()));
    // To restore the consumer, the engine declares the queue and gets no reply.
    let other =
        crate::support::setup::channel(&engine.connect_blocking(config_of(&stuck)).unwrap());
    block_on(other.delete_queue("q", false, false)).unwrap();
    until("it moved to the other host", || {
        healthy.stats().connections == 1 && is_open(&connection)
    });
    assert!(publish(&channel, "q", "here").wait().is_ok());
    let delivery = consumer.next_within(WAIT).unwrap().expect("a delivery");
    assert_eq!(&*delivery.body().contiguous(), b"here");
}
