//! Channels and queues that the first message opens: later messages share them, and a dropped
//! message leaves none behind.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use leveret::{
    ConnectionFactory, DriverConfig, Notification, NotificationEndpoint, NotificationListener,
    NotificationListenerBuilder, Target, Transport,
};
use leveret_support::Broker;
use tokio::task::block_in_place;

use crate::support::fixture::{Notes, builder, client, eventually, run, server};

/// More than the channel numbers of a connection.
const DROPPED: usize = 9000;

/// Polls a future `polls` times, with pauses, and drops it after the last one.
fn poll_and_drop(future: impl Future, polls: usize) {
    let mut future = pin!(future);
    for _ in 0..polls {
        if poll_once(future.as_mut()).is_ready() {
            return;
        }
        std::thread::sleep(Duration::from_micros(100));
    }
}

/// Counts the open channels of a virtual host, on all of its connections.
fn channels_of(broker: &Broker, url: &str) -> usize {
    let vhost = url.rsplit('/').next().unwrap();
    let counted = broker.eval(&format!(
        "lists:sum([C || [{{vhost, V}}, {{channels, C}}] <- \
         rabbit_networking:connection_info_all([vhost, channels]), V =:= <<\"{vhost}\">>])."
    ));
    counted.parse().unwrap()
}

async fn connect(url: &str, factory: ConnectionFactory) -> Transport {
    let config = DriverConfig::default().with_connection_factory(factory);
    builder(url, config).connect().await.unwrap()
}

/// Drops thousands of calls and casts before the first has opened its channels; then a call works,
/// and the others leave nothing behind.
fn dropped_calls_leave_nothing(dialect: &str, factory: ConnectionFactory) {
    let broker = Broker::shared();
    let url = broker.vhost("dropped-calls");
    let said = format!("{dialect}{url}");
    run(async {
        let serving = connect(&said, ConnectionFactory::Single).await;
        let server = server(&serving, "t", "s", &Notes::default()).await;
        let others = (channels_of(broker, &url), broker.connections_of(&url));
        let transport = connect(&said, factory).await;
        let client = client(&transport, "t").with_timeout(Duration::from_secs(20));
        let fanout = client.prepare().with_fanout(true);
        // Outside the runtime: the polls would exhaust its budget for one task.
        block_in_place(|| {
            for number in 0..DROPPED {
                // A client that has opened nothing yet.
                let derived = client.prepare().with_timeout(Duration::from_secs(19));
                let polls = 1 + number % 2;
                match number % 3 {
                    0 => poll_and_drop(client.call::<()>((), "none", &()), polls),
                    1 => poll_and_drop(derived.call::<()>((), "none", &()), polls),
                    _ => poll_and_drop(fanout.cast((), "note", &()), polls),
                }
            }
        });
        client.call::<()>((), "none", &()).await.unwrap();
        fanout.cast((), "note", &()).await.unwrap();
        let mut left = (0, 0);
        eventually(|| {
            left = (channels_of(broker, &url), broker.connections_of(&url));
            left.0 <= others.0 + 10 && left.1 <= others.1 + 3
        });
        transport.close().await.unwrap();
        eventually(|| broker.connections_of(&url) == others.1);
        server.wait().await.unwrap();
        serving.close().await.unwrap();
    });
}

#[test]
fn dropped_calls_leave_nothing_on_a_connection_of_their_own() {
    dropped_calls_leave_nothing("", ConnectionFactory::New);
}

#[test]
fn dropped_calls_leave_nothing_on_one_connection() {
    dropped_calls_leave_nothing("", ConnectionFactory::Single);
}

#[test]
fn dropped_calls_of_the_old_dialect_leave_nothing() {
    dropped_calls_leave_nothing("pika+", ConnectionFactory::ReadWrite);
}

#[test]
fn dropped_calls_of_either_dialect_leave_nothing() {
    dropped_calls_leave_nothing("dual+", ConnectionFactory::New);
}

/// Drops a server or listener after any number of steps of its start.
fn dropped_starts_leave_nothing(dialect: &str, factory: ConnectionFactory) {
    let broker = Broker::shared();
    let url = broker.vhost("dropped-starts");
    run(async {
        let transport = connect(&format!("{dialect}{url}"), factory).await;
        // Opens what stays open for the next server.
        server(&transport, "t", "s", &Notes::default()).await.wait().await.unwrap();
        listener(&transport).start().await.unwrap().wait().await.unwrap();
        let before = (channels_of(broker, &url), broker.connections_of(&url));
        block_in_place(|| {
            for polls in 0..60 {
                let notes = Notes::default();
                poll_and_drop(server(&transport, "t", "s", &notes), polls);
                poll_and_drop(listener(&transport).start(), polls);
            }
        });
        let mut left = (0, 0, 0);
        eventually(|| {
            let consumers = broker.queues_of(&url).iter().map(|queue| queue.consumers).sum::<u64>();
            left = (channels_of(broker, &url), broker.connections_of(&url), consumers);
            left == (before.0, before.1, 0)
        });
        // The next server starts.
        let server = server(&transport, "t", "s", &Notes::default()).await;
        client(&transport, "t").call::<()>((), "none", &()).await.unwrap();
        server.wait().await.unwrap();
        transport.close().await.unwrap();
    });
}

fn listener(transport: &Transport) -> NotificationListenerBuilder {
    let endpoint = NotificationEndpoint::new().info(|_: Notification| ());
    NotificationListener::builder(transport, Target::new("happened")).endpoint(endpoint)
}

#[test]
fn dropped_starts_leave_nothing_on_connections_of_their_own() {
    dropped_starts_leave_nothing("", ConnectionFactory::New);
}

#[test]
fn dropped_starts_leave_nothing_on_one_connection() {
    dropped_starts_leave_nothing("", ConnectionFactory::Single);
}

#[test]
fn dropped_starts_of_the_old_dialect_leave_nothing() {
    dropped_starts_leave_nothing("pika+", ConnectionFactory::ReadWrite);
}

#[test]
fn a_call_that_is_kept_and_not_polled_holds_up_no_other() {
    let broker = Broker::shared();
    let url = broker.vhost("kept-calls");
    run(async {
        let transport = connect(&url, ConnectionFactory::New).await;
        let _server = server(&transport, "t", "s", &Notes::default()).await;
        let client = client(&transport, "t");
        let mut unpolled = pin!(client.call::<()>((), "none", &()));
        assert!(poll_once(unpolled.as_mut()).is_pending());
        let others = (0..10).map(|_| client.call::<()>((), "none", &()));
        for other in others {
            other.await.unwrap();
        }
        let derived = client.prepare().with_timeout(Duration::from_secs(9));
        derived.call::<()>((), "none", &()).await.unwrap();
        unpolled.await.unwrap();
    });
}

fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}
