//! The limit of an outbox: a full one refuses, waits or times out, in order, and leaks nothing.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use leveret_engine::{ConnectionState, Outcome, Properties, PublishError, block_on};

use crate::consuming::scenario::consume;
use crate::support::setup::{
    WAIT, channel, config, config_of, connect, engine, loopback, queue, to, until,
};

const SHORT: Duration = Duration::from_millis(50);

#[test]
fn publishing_into_a_full_outbox_fails_waits_or_times_out() {
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
fn confirms_free_room_in_the_outbox() {
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
            assert!(
                matches!(outcome, Outcome::Confirmed),
                "larger than the whole outbox: {outcome:?}"
            );
        }
        assert_eq!(block_on(channel.purge_queue("q")).unwrap(), 4 * 501);
    }
}

#[test]
fn waiting_publications_are_not_overtaken() {
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
fn dropped_confirms_and_consumers_leak_nothing() {
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
    until("all unacknowledged messages are ready again", || {
        let declared = leveret_engine::QueueDeclare { name: "q".into(), ..Default::default() };
        let declared = block_on(channel.declare_queue(declared)).unwrap();
        assert_eq!(declared.consumers, 0, "dropped consumers were cancelled");
        declared.messages >= 5 * 300 - 5 * 50
    });
    for connection in [connection, other] {
        assert_eq!((connection.reconnects(), connection.state()), (0, ConnectionState::Open));
    }
}
