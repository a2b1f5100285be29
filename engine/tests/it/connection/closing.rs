//! Connections, channels and consumers are closed on request: with everything sent, in time,
//! without leaks.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use leveret_engine::loopback::{Loopback, LoopbackConfig};
use leveret_engine::{
    ChannelOptions, ConnectionConfig, ConnectionState, Consume, Cores, Engine, EngineConfig,
    ErrorKind, Outcome, Properties, PublishError, QueueBind, QueueDeclare, block_on,
};

use crate::support::setup::{
    WAIT, backend, channel, config, config_of, connect, engine, loopback, publish, queue, to, until,
};

const SHORT: Duration = Duration::from_millis(300);

fn impatient_config(loopback: &Loopback) -> ConnectionConfig {
    let mut config = config_of(loopback);
    config.operation_timeout = SHORT;
    config
}

#[test]
fn the_last_handle_dropped_closes_the_connection() {
    let (engine, peer) = (engine(), loopback());
    let connection = engine.connect_blocking(config_of(&peer)).unwrap();
    let channel = channel(&connection);
    queue(&channel, "q");
    let publisher = channel.publisher(to("q"), &Properties::default()).unwrap().fire_and_forget();
    let consumer = block_on(channel.consume(Consume::from_queue("q"))).unwrap();
    drop(connection);
    drop(channel);
    drop(consumer);
    for _ in 0..1000 {
        drop(publisher.publish_blocking("x".as_bytes(), WAIT).unwrap());
    }
    assert_eq!(peer.stats().connections, 1, "the publisher holds it");
    drop(publisher);
    until("it is closed", || peer.stats().connections == 0);
    assert_eq!(peer.stats().published, 1000, "flushed before");
    assert_eq!(engine.stats()[0].losses, 0);
}

#[test]
fn a_close_reports_unsent_publications() {
    let peer = loopback();
    let connection = engine().connect_blocking(config_of(&peer)).unwrap();
    let channel = channel(&connection);
    queue(&channel, "q");
    peer.stop();
    until("it is lost", || connection.state() == ConnectionState::Connecting);
    let publisher = channel.publisher(to("q"), &Properties::default()).unwrap();
    drop(publisher.fire_and_forget().publish_blocking("x".as_bytes(), WAIT).unwrap());
    let waiting = publisher.publish_blocking("y".as_bytes(), WAIT).unwrap();
    let error = block_on(connection.close()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionClosed);
    assert!(matches!(waiting.wait(), Outcome::NotSent(_)));
    assert_eq!(connection.state(), ConnectionState::Closed);
}

#[test]
fn a_connection_may_be_closed_by_many_at_once() {
    let peer = loopback();
    for _ in 0..50 {
        let connection = engine().connect_blocking(config_of(&peer)).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| block_on(connection.close()).unwrap());
            }
        });
        assert_eq!(connection.state(), ConnectionState::Closed);
    }
}

#[test]
fn a_dropped_connect_leaves_no_connection() {
    let (engine, peer) = (engine(), loopback());
    {
        let mut connecting = pin!(engine.connect(config_of(&peer)));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(matches!(connecting.as_mut().poll(&mut cx), Poll::Pending));
    }
    until("the attempt has ended", || {
        let stats = engine.stats()[0];
        stats.connects + stats.connects_failed == 1
    });
    until("it is closed", || peer.stats().connections == 0);
}

/// Polls an operation once, waits for the reply, and drops the operation. Returns the result if the
/// first poll had it.
fn drop_after_reply<T>(operation: impl Future<Output = T>) -> Option<T> {
    let mut operation = Box::pin(operation);
    let mut cx = Context::from_waker(Waker::noop());
    // It may fail at once, while the remains of the last caller are still being closed.
    let begun = operation.as_mut().poll(&mut cx);
    std::thread::sleep(Duration::from_millis(20));
    match begun {
        Poll::Ready(answer) => Some(answer),
        Poll::Pending => None,
    }
}

#[test]
fn a_channel_whose_open_was_dropped_after_the_reply_is_closed() {
    let peer = Loopback::start(LoopbackConfig { channel_max: 4, ..Default::default() }).unwrap();
    let connection = engine().connect_blocking(config_of(&peer)).unwrap();
    for _ in 0..20 {
        let opening = connection.open_channel(ChannelOptions::default());
        if let Some(Ok(channel)) = drop_after_reply(opening) {
            block_on(channel.close()).unwrap();
        }
    }
    for _ in 0..4 {
        let open = || connection.open_channel(ChannelOptions::default());
        until("a number is free", || block_on(open()).is_ok());
    }
    assert!(block_on(connection.open_channel(ChannelOptions::default())).is_err());
}

#[test]
fn a_consumer_whose_consume_was_dropped_after_the_reply_is_cancelled() {
    let peer = loopback();
    let connection = engine().connect_blocking(config_of(&peer)).unwrap();
    let channel = channel(&connection);
    queue(&channel, "q");
    for _ in 0..5 {
        drop(drop_after_reply(channel.consume(Consume::from_queue("q"))));
    }
    let ask = || QueueDeclare { name: "q".into(), passive: true, ..QueueDeclare::default() };
    let consumers = || block_on(channel.declare_queue(ask())).unwrap().consumers;
    until("all are cancelled", || consumers() == 0);
}

#[test]
fn connect_on_opens_a_connection_on_the_given_shard() {
    let two = EngineConfig::default().with_backend(backend()).with_cores(Cores::Unpinned(2));
    let (engine, peer) = (Engine::start(two).unwrap(), loopback());
    assert_eq!(engine.shards(), 2);
    let connections =
        [1, 1, 3].map(|shard| block_on(engine.connect_on(shard, config_of(&peer))).unwrap());
    let connects: Vec<_> = engine.stats().iter().map(|shard| shard.connects).collect();
    assert_eq!(connects, [0, 3]);
    drop(connections);
}

#[test]
fn close_sends_every_publication_first() {
    let peer = loopback();
    for to_broker in [config_of(&peer), config("closing-flush")] {
        let engine = engine();
        let connection = engine.connect_blocking(to_broker.clone()).unwrap();
        let publishing = channel(&connection);
        queue(&publishing, "q");
        let publisher = publishing.publisher(to("q"), &Properties::default()).unwrap();
        let body = vec![7; 1000];
        for _ in 0..2000 {
            drop(publisher.publish_blocking(&body, WAIT).unwrap());
        }
        block_on(connection.close()).unwrap();
        assert_eq!(connection.state(), ConnectionState::Closed);
        let refused = publisher.try_publish(&body, WAIT).unwrap_err();
        assert!(
            matches!(refused, PublishError::Closed(error) if error.kind() == ErrorKind::Stopped)
        );
        let error = block_on(publishing.purge_queue("q")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Stopped);
        let again = engine.connect_blocking(to_broker).unwrap();
        assert_eq!(block_on(channel(&again).purge_queue("q")).unwrap(), 2000);
    }
}

#[test]
fn close_ends_in_time_if_the_broker_is_silent() {
    let (engine, peer) = (engine(), loopback());
    let connection = engine.connect_blocking(impatient_config(&peer)).unwrap();
    peer.script(|script| script.silent_after_frames = Some(0));
    let begun = Instant::now();
    assert_eq!(block_on(connection.close()).unwrap_err().kind(), ErrorKind::TimedOut);
    assert!(begun.elapsed() < SHORT * 10);
    until("it is closed all the same", || connection.state() == ConnectionState::Closed);
    until("the socket is closed too", || peer.stats().connections == 0);
    assert!(block_on(connection.close()).is_ok(), "a second close succeeds");
}

#[test]
fn close_ends_in_time_while_publishers_are_blocked() {
    let (engine, peer) = (engine(), loopback());
    let connection = engine.connect_blocking(impatient_config(&peer)).unwrap();
    let channel = channel(&connection);
    queue(&channel, "q");
    peer.block_publishers("memory");
    until("it is blocked", || matches!(connection.state(), ConnectionState::Blocked(_)));
    let confirm = publish(&channel, "q", "never sent");
    assert_eq!(block_on(connection.close()).unwrap_err().kind(), ErrorKind::TimedOut);
    assert!(matches!(confirm.wait(), Outcome::NotSent(_)));
    until("it is closed", || connection.state() == ConnectionState::Closed);
    until("the socket is closed too", || peer.stats().connections == 0);
}

#[test]
fn handles_dropped_while_blocked_do_not_keep_the_connection() {
    let (engine, peer) = (engine(), loopback());
    let connection = engine.connect_blocking(impatient_config(&peer)).unwrap();
    let channel = channel(&connection);
    peer.block_publishers("disk");
    until("it is blocked", || matches!(connection.state(), ConnectionState::Blocked(_)));
    drop(publish(&channel, "q", "never sent"));
    drop((connection, channel));
    until("it is closed", || peer.stats().connections == 0);
}

#[test]
fn close_does_not_wait_for_a_broker_that_is_away() {
    let (engine, peer) = (engine(), loopback());
    let connection = engine.connect_blocking(config_of(&peer)).unwrap();
    peer.stop();
    until("it is lost", || connection.state() == ConnectionState::Connecting);
    let begun = Instant::now();
    block_on(connection.close()).unwrap();
    assert!(begun.elapsed() < WAIT / 2);
    assert_eq!(connection.state(), ConnectionState::Closed);
}

#[test]
fn a_full_inbox_prevents_neither_cancel_nor_close() {
    let (engine, peer) = (engine(), loopback());
    let connection = engine.connect_blocking(config_of(&peer)).unwrap();
    let consuming = channel(&connection);
    queue(&consuming, "q");
    let other = engine.connect_blocking(config_of(&peer)).unwrap();
    let publishing = channel(&other);
    for end in 0..3 {
        let mut consume = Consume::from_queue("q");
        consume.inbox_messages = 1;
        let pauses = engine.stats()[0].pauses;
        let mut consumer = block_on(consuming.consume(consume)).unwrap();
        until("reading pauses", || {
            assert!(matches!(publish(&publishing, "q", "more").wait(), Outcome::Confirmed));
            engine.stats()[0].pauses > pauses
        });
        match end {
            0 => {
                block_on(consumer.cancel()).unwrap();
                assert!(
                    consumer.next_within(WAIT).unwrap().is_some(),
                    "its deliveries can still be taken"
                );
            }
            1 => drop(consumer),
            _ => {
                block_on(connection.close()).unwrap();
                return;
            }
        }
        until("it continues", || block_on(consuming.purge_queue("q")).is_ok());
    }
}

#[test]
fn a_channel_may_be_closed_while_others_publish_on_it() {
    let peer = loopback();
    for to_broker in [config_of(&peer), config("closing-channel")] {
        let connection = engine().connect_blocking(to_broker).unwrap();
        for _ in 0..20 {
            let closing = channel(&connection);
            queue(&closing, "q");
            let publisher = closing.publisher(to("q"), &Properties::default()).unwrap();
            let thread = std::thread::spawn(move || {
                let mut confirms = Vec::new();
                while let Ok(confirm) = publisher.publish_blocking("x".as_bytes(), WAIT) {
                    confirms.push(confirm);
                }
                confirms.into_iter().map(leveret_engine::Confirm::wait).collect::<Vec<_>>()
            });
            std::thread::yield_now();
            block_on(closing.close()).unwrap();
            for outcome in thread.join().unwrap() {
                assert!(matches!(outcome, Outcome::Confirmed | Outcome::NotSent(_)), "{outcome:?}");
            }
        }
        assert_eq!((connection.state(), connection.reconnects()), (ConnectionState::Open, 0));
    }
}

#[test]
fn acknowledgements_before_a_channel_close_arrive() {
    let connection = connect("closing-acks");
    let consuming = channel(&connection);
    queue(&consuming, "q");
    for _ in 0..100 {
        drop(publish(&consuming, "q", "x"));
    }
    let mut consumer = block_on(consuming.consume(Consume::from_queue("q"))).unwrap();
    for _ in 0..100 {
        consumer.next_within(WAIT).unwrap().expect("a delivery").ack();
    }
    block_on(consuming.close()).unwrap();
    assert_eq!(block_on(channel(&connection).purge_queue("q")).unwrap(), 0);
    assert_eq!(connection.reconnects(), 0);
}

#[test]
fn a_stopped_engine_ends_every_wait() {
    let (engine, peer) = (engine(), loopback());
    peer.script(|script| script.withhold_confirms = true);
    let connection = engine.connect_blocking(config_of(&peer)).unwrap();
    let channel = channel(&connection);
    queue(&channel, "q");
    let mut consumer = block_on(channel.consume(Consume::from_queue("q"))).unwrap();
    let confirm = publish(&channel, "q", "unconfirmed");
    let waiting = std::thread::spawn(move || confirm.wait());
    assert!(consumer.next_within(WAIT).unwrap().is_some());
    let taking = std::thread::spawn(move || consumer.next_blocking().map(drop));
    engine.stop();
    assert!(matches!(waiting.join().unwrap(), Outcome::MaybeSent(_)));
    let _ = taking.join().unwrap();
    let error = engine.connect_blocking(config_of(&peer)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Stopped);
    until("nothing is left", || peer.stats().connections == 0);
}

#[test]
fn stopping_many_connections_takes_no_longer_than_one() {
    let (engine, peer) = (engine(), loopback());
    let connections: Vec<_> =
        (0..10).map(|_| engine.connect_blocking(config_of(&peer)).unwrap()).collect();
    peer.script(|script| script.silent_after_frames = Some(0));
    let begun = Instant::now();
    engine.stop();
    assert!(begun.elapsed() < Duration::from_secs(6), "2 s are promised, for all of them");
    drop(connections);
}

#[test]
fn unbinding_and_deleting_something_missing_succeeds() {
    let peer = loopback();
    for to_broker in [config("closing-missing"), config_of(&peer)] {
        let engine = engine();
        let connection = engine.connect_blocking(to_broker).unwrap();
        let channel = channel(&connection);
        queue(&channel, "q");
        let binding = |exchange: &str, queue: &str| QueueBind {
            queue: queue.into(),
            exchange: exchange.into(),
            routing_key: "k".into(),
            ..QueueBind::default()
        };
        for (exchange, queue) in [("amq.direct", "q"), ("none", "q"), ("amq.direct", "none")] {
            block_on(channel.unbind_queue(binding(exchange, queue))).unwrap();
        }
        block_on(channel.delete_queue("none", false, false)).unwrap();
        block_on(channel.delete_exchange("none", false)).unwrap();
    }
}
