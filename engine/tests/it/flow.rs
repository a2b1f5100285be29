//! Flow control: full outboxes, full inboxes, prefetch, acknowledgements, heartbeats, leaks.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use leveret_engine::loopback::{Loopback, LoopbackConfig};
use leveret_engine::{
    Channel, ChannelOptions, Connection, ConnectionState, Consume, Consumer, Delivery,
    DeliverySink, Disposition, ErrorKind, Outcome, Properties, PublishError, block_on,
};

use crate::peer::{Peer, peer};
use crate::setup::{
    WAIT, channel, config, config_of, connect, engine, loopback, once, publish, queue, to, until,
};

const SHORT: Duration = Duration::from_millis(50);

/// Starts a broker that offers heartbeats of one second.
fn beating() -> Loopback {
    Loopback::start(LoopbackConfig { heartbeat: 1, ..LoopbackConfig::default() }).unwrap()
}

fn prefetching(connection: &Connection, prefetch: u16) -> Channel {
    block_on(connection.open_channel(ChannelOptions::default().with_prefetch(prefetch))).unwrap()
}

fn consume(channel: &Channel, queue: &str) -> Consumer {
    block_on(channel.consume(Consume::from_queue(queue))).unwrap()
}

fn fill(channel: &Channel, queue: &str, count: usize) {
    let publisher = channel.publisher(to(queue), &Properties::default()).unwrap();
    let confirms: Vec<_> = (0..count)
        .map(|i| publisher.publish_blocking(i.to_string().as_bytes(), WAIT).unwrap())
        .collect();
    for confirm in confirms {
        assert!(matches!(confirm.wait(), Outcome::Confirmed));
    }
}

// ---- the road down

#[test]
fn a_full_outbox_hands_back_waits_or_times_out() {
    let peer = loopback();
    let mut config = config_of(&peer);
    config.outbox_bytes = 100_000;
    let connection = engine().connect_blocking(config).unwrap();
    let channel = channel(&connection);
    queue(&channel, "q");
    peer.script(|script| script.withhold_confirms = true);
    let publisher = channel.publisher(to("q"), &Properties::default()).unwrap();
    let body = vec![7; 1000];
    let mut taken = Vec::new();
    let refused = loop {
        match publisher.try_publish(&body, WAIT) {
            Ok(confirm) => taken.push(confirm),
            Err(refused) => break refused,
        }
    };
    assert!(matches!(refused, PublishError::Full));
    assert!((90..100).contains(&taken.len()), "{} of 1,000 bytes in 100,000", taken.len());
    let begun = Instant::now();
    let refused = publisher.publish_blocking(&body, SHORT).unwrap_err();
    assert!(matches!(refused, PublishError::TimedOut));
    assert!(begun.elapsed() >= SHORT);
    let refused = block_on(publisher.publish(&body, SHORT)).unwrap_err();
    assert!(matches!(refused, PublishError::TimedOut));

    let waiting = {
        let (publisher, body) = (publisher.clone(), body.clone());
        std::thread::spawn(move || publisher.publish_blocking(&body, WAIT).unwrap().wait())
    };
    peer.script(|script| script.withhold_confirms = false);
    // The loss of the connection frees the room of publications that can no longer be confirmed.
    peer.drop_connections();
    assert!(matches!(waiting.join().unwrap(), Outcome::Confirmed));
    for confirm in taken {
        assert!(matches!(confirm.wait(), Outcome::MaybeSent(_)));
    }
}

#[test]
fn a_budget_is_used_again_when_confirms_come() {
    let peer = loopback();
    for mut to_broker in [config_of(&peer), config("flow-budget")] {
        to_broker.outbox_bytes = 20_000;
        let connection = engine().connect_blocking(to_broker).unwrap();
        let channel = channel(&connection);
        queue(&channel, "q");
        let publisher = channel.publisher(to("q"), &Properties::default()).unwrap();
        let threads = [(); 4].map(|()| {
            let publisher = publisher.clone();
            std::thread::spawn(move || {
                let body = vec![7; 3000];
                for _ in 0..500 {
                    let confirm = publisher.publish_blocking(&body, WAIT).unwrap();
                    drop(confirm);
                }
                publisher.publish_blocking(&vec![7; 50_000], WAIT).unwrap().wait()
            })
        });
        for thread in threads {
            let outcome = thread.join().unwrap();
            assert!(matches!(outcome, Outcome::Confirmed), "larger than all: {outcome:?}");
        }
        assert_eq!(block_on(channel.purge_queue("q")).unwrap(), 4 * 501);
    }
}

#[test]
fn who_waits_for_room_is_not_overtaken() {
    const TASKS: usize = 300;
    const EACH: usize = 100;
    let peer = loopback();
    let mut config = config_of(&peer);
    config.outbox_bytes = 20_000;
    let connection = engine().connect_blocking(config).unwrap();
    let channel = channel(&connection);
    queue(&channel, "q");
    let publisher = channel.publisher(to("q"), &Properties::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let done = Arc::new(Mutex::new([0; TASKS]));
    let mut lag = runtime.block_on(async {
        let mut tasks = tokio::task::JoinSet::new();
        for task in 0..TASKS {
            let (publisher, done) = (publisher.clone(), Arc::clone(&done));
            tasks.spawn(async move {
                let mut lag = 0;
                for _ in 0..EACH {
                    let confirm = publisher.publish(&vec![7; 1000], WAIT).await.unwrap();
                    assert!(confirm.await.is_ok());
                    let mut done = done.lock().unwrap();
                    done[task] += 1;
                    lag = lag.max(done[task] - done.iter().min().unwrap());
                }
                lag
            });
        }
        tasks.join_all().await
    });
    lag.sort_unstable();
    assert!(lag[TASKS - 1] <= 15, "publications more than the slowest task's: {lag:?}");
    assert_eq!(block_on(channel.purge_queue("q")).unwrap() as usize, TASKS * EACH);
}

#[test]
fn dropped_confirms_and_consumers_leave_nothing_behind() {
    let (connection, other) = (connect("flow-dropped"), connect("flow-dropped"));
    let (consuming, channel) = (channel(&connection), channel(&other));
    queue(&channel, "q");
    let publisher = channel.publisher(to("q"), &Properties::default()).unwrap();
    for _ in 0..5 {
        let mut consumer = consume(&consuming, "q");
        for i in 0..300 {
            let confirm = publisher.publish_blocking("x".as_bytes(), WAIT).unwrap();
            if i % 3 == 0 {
                drop(confirm);
            } else if i % 3 == 1 {
                assert!(matches!(confirm.wait(), Outcome::Confirmed));
            } else {
                let never = std::time::Duration::from_millis(1);
                drop(publisher.publish_blocking("x".as_bytes(), never).map(|it| it.wait()));
            }
        }
        // Some are taken and acknowledged, some taken and dropped, the rest stays in the inbox.
        for i in 0..100 {
            let delivery = consumer.next_within(WAIT).unwrap().expect("a delivery");
            if i % 2 == 0 {
                delivery.ack();
            }
        }
    }
    block_on(consuming.close()).unwrap();
    // The broker's queue notices a closed channel without consumers through a monitor, with a
    // delay.
    until("all but what was answered is ready again", || {
        let declared = leveret_engine::QueueDeclare { name: "q".into(), ..Default::default() };
        let declared = block_on(channel.declare_queue(declared)).unwrap();
        assert_eq!(declared.consumers, 0, "dropped consumers were cancelled");
        declared.messages >= 5 * 300 - 5 * 50
    });
    for connection in [connection, other] {
        assert_eq!((connection.reconnects(), connection.state()), (0, ConnectionState::Open));
    }
}

// ---- the road up

/// Counts deliveries and lets the shard defer their acknowledgements.
struct Patient(Arc<AtomicUsize>);

impl DeliverySink for Patient {
    fn deliver(&mut self, _: Delivery) -> Disposition {
        self.0.fetch_add(1, Ordering::SeqCst);
        Disposition::AckSoon
    }

    fn closed(&mut self, _: Option<leveret_engine::Error>) {}
}

#[test]
fn acknowledgements_that_may_wait_arrive_with_and_without_company() {
    let (engine, peer) = (engine(), loopback());
    // No heartbeat flushes them.
    let mut config = config_of(&peer);
    config.heartbeat = Duration::ZERO;
    let connection = engine.connect_blocking(config).unwrap();
    let other = engine.connect_blocking(config_of(&peer)).unwrap();
    let publishing = channel(&other);
    queue(&publishing, "q");
    let mut sent = 0;
    // With a prefetch limit the next delivery waits for the acknowledgement, so none is deferred.
    for consuming in [channel(&connection), prefetching(&connection, 1)] {
        let seen = Arc::new(AtomicUsize::new(0));
        let sink = Box::new(Patient(Arc::clone(&seen)));
        let consumer = block_on(consuming.consume_with(Consume::from_queue("q"), sink)).unwrap();
        for count in [1, 3, 200] {
            fill(&publishing, "q", count);
            sent += count;
            until("all are acknowledged", || peer.stats().acked == sent as u64);
        }
        assert_eq!(seen.load(Ordering::SeqCst), 204);
        drop(consumer);
        block_on(consuming.close()).unwrap();
    }
}

/// Counts deliveries, including those that arrive while it is cancelled.
struct Thorough(Arc<AtomicUsize>);

impl DeliverySink for Thorough {
    fn deliver(&mut self, _: Delivery) -> Disposition {
        self.0.fetch_add(1, Ordering::SeqCst);
        Disposition::Later
    }

    fn accepts_while_cancelling(&self) -> bool {
        true
    }

    fn closed(&mut self, _: Option<leveret_engine::Error>) {}
}

#[test]
fn what_a_broker_forgets_as_it_delivers_is_taken_to_the_last() {
    let peer = loopback();
    for to_broker in [config_of(&peer), config("flow-the-last")] {
        let connection = engine().connect_blocking(to_broker).unwrap();
        let (publishing, consuming) = (channel(&connection), channel(&connection));
        queue(&publishing, "q");
        for _ in 0..5 {
            fill(&publishing, "q", 2000);
            let seen = Arc::new(AtomicUsize::new(0));
            let consume = Consume { no_ack: true, ..Consume::from_queue("q") };
            let sink = Box::new(Thorough(Arc::clone(&seen)));
            let consumer = block_on(consuming.consume_with(consume, sink)).unwrap();
            block_on(consumer.cancel()).unwrap();
            let rest = block_on(publishing.purge_queue("q")).unwrap();
            assert_eq!(seen.load(Ordering::SeqCst) + rest as usize, 2000);
        }
    }
}

#[test]
fn a_slow_consumer_stops_the_reading_while_heartbeats_go_on() {
    let (engine, peer) = (engine(), beating());
    let publishing = engine.connect_blocking(config_of(&peer)).unwrap();
    let publishing = channel(&publishing);
    queue(&publishing, "q");
    let mut config = config_of(&peer);
    config.blocks_max = 8;
    let connection = engine.connect_blocking(config).unwrap();
    let mut slow = Consume::from_queue("q");
    slow.inbox_messages = 100;
    let mut consumer = block_on(channel(&connection).consume(slow)).unwrap();
    let body = vec![7; 20_000];
    let publisher = publishing.publisher(to("q"), &Properties::default()).unwrap();
    for _ in 0..2000 {
        drop(publisher.publish_blocking(&body, WAIT).unwrap());
    }
    until("all is published", || peer.stats().published == 2000);
    until("reading pauses", || engine.stats()[0].pauses > 0);
    let (begun, read) = (Instant::now(), engine.stats()[0].bytes_in);
    // Without reading for two intervals, each side would consider the other dead.
    while begun.elapsed() < Duration::from_millis(3500) {
        assert_eq!(connection.state(), ConnectionState::Open);
        std::thread::sleep(Duration::from_millis(100));
    }
    let read = engine.stats()[0].bytes_in - read;
    assert!(read < 1 << 20, "{read} bytes were read for an inbox that is full");
    for _ in 0..2000 {
        let delivery = consumer.next_within(WAIT).unwrap().expect("a delivery");
        assert_eq!(delivery.body().len(), body.len());
        delivery.ack();
    }
    assert_eq!((connection.reconnects(), connection.state()), (0, ConnectionState::Open));
    until("all are acknowledged", || peer.stats().acked == 2000);
}

#[test]
fn deliveries_that_are_kept_hold_a_bounded_number_of_blocks() {
    let (engine, peer) = (engine(), loopback());
    let publishing = engine.connect_blocking(config_of(&peer)).unwrap();
    let publishing = channel(&publishing);
    queue(&publishing, "q");
    let mut config = config_of(&peer);
    (config.block_bytes, config.blocks_max) = (64 << 10, 4);
    let connection = engine.connect_blocking(config).unwrap();
    let mut consumer = consume(&channel(&connection), "q");
    let body = vec![7; 30_000];
    let publisher = publishing.publisher(to("q"), &Properties::default()).unwrap();
    for _ in 0..100 {
        assert!(publisher.publish_blocking(&body, WAIT).unwrap().wait().is_ok());
    }
    let mut kept = Vec::new();
    while let Some(delivery) = consumer.next_within(SHORT * 4).unwrap() {
        kept.push(delivery);
    }
    assert!(kept.len() < 30, "{} bodies of 30,000 bytes in 4 blocks of 65,536", kept.len());
    let mut seen = kept.len();
    kept.clear();
    while seen < 100 {
        assert!(consumer.next_within(WAIT).unwrap().is_some(), "it reads again");
        seen += 1;
    }
}

#[test]
fn prefetch_bounds_what_is_unanswered() {
    let peer = loopback();
    for to_broker in [config_of(&peer), config("flow-prefetch")] {
        let connection = engine().connect_blocking(to_broker).unwrap();
        let consuming = prefetching(&connection, 5);
        queue(&consuming, "q");
        fill(&consuming, "q", 20);
        let mut consumer = consume(&consuming, "q");
        let mut held = Vec::new();
        for _ in 0..5 {
            held.push(consumer.next_within(WAIT).unwrap().expect("a delivery"));
        }
        assert!(consumer.next_within(SHORT).unwrap().is_none(), "five are unanswered");
        held.remove(1).ack();
        held.remove(0).reject(false);
        held.push(consumer.next_within(WAIT).unwrap().expect("a delivery"));
        held.push(consumer.next_within(WAIT).unwrap().expect("a delivery"));
        assert!(consumer.next_within(SHORT).unwrap().is_none());
        held.clear();
        assert!(consumer.next_within(SHORT).unwrap().is_none(), "dropping is no answer");
    }
}

#[test]
fn prefetch_survives_a_reconnect_however_it_was_set() {
    let peer = loopback();
    let connection = engine().connect_blocking(config_of(&peer)).unwrap();
    let publishing = channel(&connection);
    let (opened, changed) = (prefetching(&connection, 2), prefetching(&connection, 9));
    let durable =
        |name: &str| leveret_engine::QueueDeclare { name: name.into(), ..Default::default() };
    for name in ["opened", "changed"] {
        block_on(publishing.declare_queue(durable(name))).unwrap();
    }
    block_on(changed.set_prefetch(3)).unwrap();
    let mut consumers = [(consume(&opened, "opened"), 2), (consume(&changed, "changed"), 3)];
    peer.drop_connections();
    until("it came back", || {
        connection.reconnects() == 1 && connection.state() == ConnectionState::Open
    });
    fill(&publishing, "opened", 9);
    fill(&publishing, "changed", 9);
    for (consumer, limit) in &mut consumers {
        let mut held = Vec::new();
        while let Some(delivery) = consumer.next_within(SHORT * 4).unwrap() {
            held.push(delivery);
        }
        assert_eq!(held.len(), *limit);
    }
}

/// Takes deliveries and passes them to `answer` until all consumers together have `seen` enough.
fn take(
    mut consumer: Consumer,
    seen: &AtomicUsize,
    answer: &std::sync::mpsc::Sender<Delivery>,
) -> (usize, Consumer) {
    let mut count = 0;
    while seen.load(Ordering::Relaxed) < 5000 {
        if let Some(delivery) = consumer.next_within(SHORT).unwrap() {
            count += 1;
            seen.fetch_add(1, Ordering::Relaxed);
            answer.send(delivery).unwrap();
        }
    }
    (count, consumer)
}

#[test]
fn two_consumers_share_a_queue_and_answers_come_from_any_thread() {
    let peer = loopback();
    for to_broker in [config_of(&peer), config("flow-two")] {
        let connection = engine().connect_blocking(to_broker).unwrap();
        let publishing = channel(&connection);
        queue(&publishing, "q");
        let consuming = prefetching(&connection, 50);
        let consumers = [(); 2].map(|()| consume(&consuming, "q"));
        let (answer, answered) = std::sync::mpsc::channel::<Delivery>();
        let (seen, answered) = (AtomicUsize::new(0), Mutex::new(answered));
        let answering = || {
            let next = || answered.lock().unwrap().recv();
            while let Ok(delivery) = next() {
                delivery.ack();
                delivery.ack();
            }
        };
        let counts = std::thread::scope(|scope| {
            let taking = consumers.map(|consumer| {
                let (answer, seen) = (answer.clone(), &seen);
                scope.spawn(move || take(consumer, seen, &answer))
            });
            drop(answer);
            let answering = [(); 3].map(|()| scope.spawn(answering));
            fill(&publishing, "q", 5000);
            let taken = taking.map(|thread| thread.join().unwrap());
            answering.into_iter().for_each(|thread| thread.join().unwrap());
            taken.map(|(count, _)| count)
        });
        assert_eq!(counts[0] + counts[1], 5000);
        assert!(counts[0] > 100 && counts[1] > 100, "{counts:?}");
        block_on(consuming.close()).unwrap();
        assert_eq!(block_on(publishing.purge_queue("q")).unwrap(), 0, "every answer arrived");
        assert_eq!(connection.reconnects(), 0, "none of them twice");
    }
}

// ---- heartbeats

#[test]
fn a_silent_peer_is_noticed_after_two_intervals() {
    let peer = beating();
    let connection = engine().connect_blocking(once(config_of(&peer))).unwrap();
    let channel = channel(&connection);
    queue(&channel, "q");
    let confirm = {
        peer.script(|script| script.silent_after_frames = Some(0));
        publish(&channel, "q", "into the void")
    };
    let begun = Instant::now();
    let Outcome::MaybeSent(error) = confirm.wait() else { panic!("nobody confirmed it") };
    assert_eq!(error.kind(), ErrorKind::ConnectionClosed);
    assert!(error.to_string().contains("heartbeat"), "{error}");
    let waited = begun.elapsed();
    assert!(waited > Duration::from_secs(1) && waited < Duration::from_secs(4), "{waited:?}");
    until("it is closed", || connection.state() == ConnectionState::Closed);
}

#[test]
fn an_idle_connection_is_kept_alive_in_both_directions() {
    let peer = beating();
    let connection = engine().connect_blocking(config_of(&peer)).unwrap();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(3500) {
        assert_eq!(connection.state(), ConnectionState::Open);
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!((connection.reconnects(), peer.stats().connections), (0, 1));
}

#[test]
fn without_heartbeats_silence_means_nothing() {
    let (told, heard) = std::sync::mpsc::channel();
    let config = peer(move |peer: &mut Peer| {
        peer.welcome();
        let _ = told.send(());
        peer.stay();
    });
    let mut config = once(config);
    config.heartbeat = Duration::ZERO;
    let connection = engine().connect_blocking(config).unwrap();
    heard.recv_timeout(WAIT).unwrap();
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(connection.state(), ConnectionState::Open);
}

#[test]
fn any_byte_sent_counts_as_a_heartbeat() {
    let peer = beating();
    let connection = engine().connect_blocking(config_of(&peer)).unwrap();
    let channel = channel(&connection);
    queue(&channel, "q");
    let before = peer.stats().frames_in;
    let begun = Instant::now();
    let mut published = 0;
    while begun.elapsed() < Duration::from_millis(2200) {
        drop(publish(&channel, "q", "x").wait());
        published += 1;
        std::thread::sleep(Duration::from_millis(20));
    }
    let frames = peer.stats().frames_in - before;
    assert_eq!(frames, published, "publications alone kept it alive");
}
