//! Acknowledgements: deferred, from any thread, limited by prefetch; deliveries during a cancel.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use leveret_engine::{
    ConnectionState, Consume, Consumer, Delivery, DeliverySink, Disposition, block_on,
};

use crate::consuming::scenario::{channel_with_prefetch, consume};
use crate::support::setup::{
    WAIT, channel, config, config_of, engine, fill, loopback, queue, until,
};

const SHORT: Duration = Duration::from_millis(50);

/// Counts deliveries and lets the shard defer their acknowledgements.
struct DeferringSink(Arc<AtomicUsize>);

impl DeliverySink for DeferringSink {
    fn deliver(&mut self, _: Delivery) -> Disposition {
        self.0.fetch_add(1, Ordering::SeqCst);
        Disposition::AckSoon
    }

    fn closed(&mut self, _: Option<leveret_engine::Error>) {}
}

#[test]
fn deferred_acknowledgements_arrive_alone_and_in_batches() {
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
    for consuming in [channel(&connection), channel_with_prefetch(&connection, 1)] {
        let seen = Arc::new(AtomicUsize::new(0));
        let sink = Box::new(DeferringSink(Arc::clone(&seen)));
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
struct AcceptingSink(Arc<AtomicUsize>);

impl DeliverySink for AcceptingSink {
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
fn a_sink_may_accept_every_delivery_that_arrives_during_a_cancel() {
    let peer = loopback();
    for to_broker in [config_of(&peer), config("flow-the-last")] {
        let connection = engine().connect_blocking(to_broker).unwrap();
        let (publishing, consuming) = (channel(&connection), channel(&connection));
        queue(&publishing, "q");
        for _ in 0..5 {
            fill(&publishing, "q", 2000);
            let seen = Arc::new(AtomicUsize::new(0));
            let consume = Consume { no_ack: true, ..Consume::from_queue("q") };
            let sink = Box::new(AcceptingSink(Arc::clone(&seen)));
            let consumer = block_on(consuming.consume_with(consume, sink)).unwrap();
            block_on(consumer.cancel()).unwrap();
            let rest = block_on(publishing.purge_queue("q")).unwrap();
            assert_eq!(seen.load(Ordering::SeqCst) + rest as usize, 2000);
        }
    }
}

#[test]
fn prefetch_limits_unacknowledged_deliveries() {
    let peer = loopback();
    for to_broker in [config_of(&peer), config("flow-prefetch")] {
        let connection = engine().connect_blocking(to_broker).unwrap();
        let consuming = channel_with_prefetch(&connection, 5);
        queue(&consuming, "q");
        fill(&consuming, "q", 20);
        let mut consumer = consume(&consuming, "q");
        let mut held = Vec::new();
        for _ in 0..5 {
            held.push(consumer.next_within(WAIT).unwrap().expect("a delivery"));
        }
        assert!(consumer.next_within(SHORT).unwrap().is_none(), "five are unacknowledged");
        held.remove(1).ack();
        held.remove(0).reject(false);
        held.push(consumer.next_within(WAIT).unwrap().expect("a delivery"));
        held.push(consumer.next_within(WAIT).unwrap().expect("a delivery"));
        assert!(consumer.next_within(SHORT).unwrap().is_none());
        held.clear();
        assert!(
            consumer.next_within(SHORT).unwrap().is_none(),
            "dropping a delivery acknowledges nothing"
        );
    }
}

#[test]
fn a_prefetch_limit_survives_a_reconnect() {
    let peer = loopback();
    let connection = engine().connect_blocking(config_of(&peer)).unwrap();
    let publishing = channel(&connection);
    let (opened, changed) =
        (channel_with_prefetch(&connection, 2), channel_with_prefetch(&connection, 9));
    let durable =
        |name: &str| leveret_engine::QueueDeclare { name: name.into(), ..Default::default() };
    for name in ["opened", "changed"] {
        block_on(publishing.declare_queue(durable(name))).unwrap();
    }
    block_on(changed.set_prefetch(3)).unwrap();
    let mut consumers = [(consume(&opened, "opened"), 2), (consume(&changed, "changed"), 3)];
    peer.drop_connections();
    until("it has reconnected", || {
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
fn two_consumers_share_a_queue_and_any_thread_acknowledges() {
    let peer = loopback();
    for to_broker in [config_of(&peer), config("flow-two")] {
        let connection = engine().connect_blocking(to_broker).unwrap();
        let publishing = channel(&connection);
        queue(&publishing, "q");
        let consuming = channel_with_prefetch(&connection, 50);
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
        assert_eq!(
            block_on(publishing.purge_queue("q")).unwrap(),
            0,
            "every acknowledgement arrived"
        );
        assert_eq!(connection.reconnects(), 0, "none of them arrived twice");
    }
}
