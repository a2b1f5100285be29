//! Health of a transport, and its counts of calls, casts and notifications.

use std::sync::Mutex;
use std::time::Duration;

use leveret::engine::ConnectionState;
use leveret::engine::loopback::{Loopback, LoopbackConfig};
use leveret::{
    Context, DriverConfig, Endpoint, ErrorKind, Failure, Notification, NotificationEndpoint,
    NotificationListener, Notifier, ReplyPath, RpcServer, Target, Transport,
};
use leveret_support::Broker;
use serde_json::json;

use crate::support::every_broker::on_every_broker;
use crate::support::fixture::{Notes, client, connect, echo, eventually, run, server};

on_every_broker! {
    calls_and_casts_are_counted_by_their_end
    notifications_are_counted
    health_names_every_connection_there_is
    an_abandoned_call_is_counted
    what_waits_for_a_thread_is_told
}

async fn calls_and_casts_are_counted_by_their_end(url: String) {
    let transport = connect(&url).await;
    let server = server(&transport, "t", "s", &Notes::default()).await;
    let served = client(&transport, "t");
    for number in 0..3 {
        echo(&served, json!(number)).await;
    }
    let error = served.call::<()>((), "boom", &()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RemoteError);
    let absent = client(&transport, "nobody").with_timeout(Duration::from_millis(50));
    let error = absent.call::<()>((), "echo", &()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MessagingTimeout);
    let mandatory = absent.with_timeout(Duration::from_secs(10)).with_at_least_once(true);
    let error = mandatory.call::<()>((), "echo", &()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MessageUndeliverable);
    let error = served.prepare().with_fanout(true).call::<()>((), "echo", &()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidTarget);

    let calls = transport.metrics().calls;
    assert_eq!((calls.done, calls.remote_errors, calls.timed_out), (3, 1, 1));
    assert_eq!((calls.undeliverable, calls.failed_otherwise), (1, 1));
    assert_eq!((calls.delivery_failures, calls.abandoned, calls.outstanding), (0, 0, 0));
    assert_eq!((calls.ended(), calls.latency.count()), (7, 7));
    assert!(calls.latency.sum() >= Duration::from_millis(50), "the call that timed out");

    served.cast((), "note", &json!({"arg": 1})).await.unwrap();
    served.cast_buffered((), "note", &json!({"arg": 2})).await.unwrap();
    mandatory.cast((), "note", &()).await.unwrap_err();
    mandatory.cast_buffered((), "note", &()).await.unwrap();
    eventually(|| transport.metrics().casts.refused == 1);
    let casts = transport.metrics().casts;
    assert_eq!((casts.confirmed, casts.buffered, casts.failed), (1, 2, 1));
    eventually(|| server.stats().dispatched == 6);
    server.wait().await.unwrap();
    let served = transport.metrics().served;
    assert_eq!(
        (served.done, served.duplicates, served.waiting, served.waiting_bytes),
        (6, 0, 0, 0)
    );
}

async fn notifications_are_counted(url: String) {
    let transport = connect(&url).await;
    let endpoint = NotificationEndpoint::new().info(|_: Notification| {});
    let listener = NotificationListener::builder(&transport, Target::new("happened"))
        .endpoint(endpoint)
        .start()
        .await
        .unwrap();
    let notifier = Notifier::builder(&transport).topic("happened").topic("elsewhere").build();
    notifier.info((), "event", &json!({})).await.unwrap();
    let health = listener.health();
    assert!(health.is_ready() && health.connection.purpose == "listener");
    eventually(|| listener.stats().handled == 1);
    let heard = transport.metrics().heard;
    assert_eq!((heard.done, heard.waiting, heard.waiting_bytes), (1, 0, 0));
    let notifications = transport.metrics().notifications;
    assert_eq!((notifications.sent, notifications.failed), (2, 0), "one notification per topic");
    let unsendable = Notifier::builder(&transport).topic("t".repeat(300)).build();
    unsendable.info((), "event", &json!({})).await.unwrap_err();
    assert_eq!(transport.metrics().notifications.failed, 1);
    listener.wait().await.unwrap();
    assert!(!listener.health().is_ready());
}

async fn health_names_every_connection_there_is(url: String) {
    let transport = connect(&url).await;
    let purposes = || {
        let health = transport.health();
        health.connections.iter().map(|connection| connection.purpose).collect::<Vec<_>>()
    };
    assert_eq!(purposes(), ["publish"]);
    assert_eq!(transport.health().reply_path, ReplyPath::Unused);
    let publish = transport.health().connections.remove(0);
    let text = format!("{publish:?}");
    assert!(publish.host.starts_with("127.0.0.1:") && !text.contains("guest"), "{text}");
    assert!(publish.last_error.is_none());
    assert!(transport.health().is_ready(), "an unused connection does not count");
    let server = server(&transport, "t", "s", &Notes::default()).await;
    echo(&client(&transport, "t"), json!(1)).await;
    assert_eq!(purposes(), ["publish", "answers", "replies"]);
    assert_eq!(transport.health().reply_path, ReplyPath::Open);
    assert!(transport.health().is_ready() && server.health().is_ready());
    let metrics = transport.metrics();
    let of_metrics: Vec<_> = metrics.connections.iter().map(|one| one.health.purpose).collect();
    assert_eq!(of_metrics, purposes());
    assert_eq!(metrics.shards.len(), 1);
    assert!(metrics.shards[0].connects >= 4 && metrics.shards[0].bytes_out > 0);
    eventually(|| transport.metrics().connections.iter().all(|one| one.outbox_bytes == 0));

    server.wait().await.unwrap();
    let health = server.health();
    assert!(health.is_stopped && !health.is_ready());
    assert_eq!(health.connection.state, ConnectionState::Closed);
    transport.close().await.unwrap();
    let health = transport.health();
    assert!(!health.is_ready());
    assert_eq!(health.connections[0].state, ConnectionState::Closed);
}

async fn what_waits_for_a_thread_is_told(url: String) {
    let config = DriverConfig::default().with_executor_threads(1);
    let transport = Transport::builder(&url).config(config).connect().await.unwrap();
    let (go, gate) = std::sync::mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let endpoint = Endpoint::new().method("wait", move |_: Context, (): ()| {
        gate.lock().unwrap().recv().unwrap();
        Ok::<_, Failure>(())
    });
    let target = Target::new("t").with_server("s");
    let server = RpcServer::builder(&transport, target).endpoint(endpoint).start().await.unwrap();
    for _ in 0..3 {
        client(&transport, "t").cast((), "wait", &()).await.unwrap();
    }
    eventually(|| transport.metrics().served.done == 1 && transport.metrics().served.waiting == 2);
    assert!(transport.metrics().served.waiting_bytes > 2 * "wait".len());
    (0..3).for_each(|_| go.send(()).unwrap());
    server.wait().await.unwrap();
    let served = transport.metrics().served;
    assert_eq!((served.done, served.waiting, served.waiting_bytes), (3, 0, 0));
}

async fn an_abandoned_call_is_counted(url: String) {
    let transport = connect(&url).await;
    let client = client(&transport, "nobody");
    let call = client.call::<()>((), "echo", &());
    tokio::select! {
        result = call => panic!("no server answers: {result:?}"),
        () = async {
            while transport.stats().calls_outstanding == 0 {
                tokio::task::yield_now().await;
            }
        } => {}
    }
    let calls = transport.metrics().calls;
    assert_eq!((calls.abandoned, calls.ended(), calls.outstanding), (1, 1, 0));
}

#[test]
fn a_block_shows_with_its_reason_and_its_length() {
    run(async {
        let broker = Loopback::start(LoopbackConfig::default()).unwrap();
        let port = broker.addr().port();
        let transport = connect(&format!("rabbit://guest:guest@127.0.0.1:{port}/")).await;
        let client = client(&transport, "t");
        client.cast_buffered((), "note", &()).await.unwrap();
        broker.block_publishers("low on memory");
        eventually(|| {
            state_of_casts(&transport) == ConnectionState::Blocked("low on memory".into())
        });
        assert!(!transport.health().is_ready());
        client.cast_buffered((), "note", &()).await.unwrap();
        let casts = || {
            let mut all = transport.metrics().connections.into_iter();
            all.find(|one| one.health.purpose == CASTS).unwrap()
        };
        assert!(casts().outbox_bytes > 0);
        broker.unblock_publishers();
        eventually(|| transport.health().is_ready());
        assert!(casts().blocked > Duration::ZERO);
        transport.close().await.unwrap();
    });
}

/// The purpose of the connection of buffered casts.
const CASTS: &str = "casts";

fn state_of_casts(transport: &Transport) -> ConnectionState {
    let health = transport.health();
    health.connections.iter().find(|one| one.purpose == CASTS).unwrap().state.clone()
}

/// Tests that block and kill their own brokers.
mod faults {
    use super::*;

    #[test]
    fn a_block_and_a_death_of_a_broker_show() {
        let broker = Broker::start();
        run(async {
            let transport = connect(&format!("{}?rabbit_interval_max=1", broker.url())).await;
            let server = server(&transport, "t", "s", &Notes::default()).await;
            let client = client(&transport, "t");
            echo(&client, json!(1)).await;
            broker.set_memory_alarm(true);
            eventually(|| {
                // A broker sends `connection.blocked` once the connection publishes.
                client.cast_buffered_blocking((), "note", &json!({"arg": 1})).unwrap();
                matches!(state_of_casts(&transport), ConnectionState::Blocked(_))
            });
            let health = transport.health();
            assert!(!health.is_ready());
            assert_eq!(health.reply_path, ReplyPath::Open, "a block stops publishers only");
            assert!(server.health().is_ready());
            broker.set_memory_alarm(false);
            eventually(|| transport.health().is_ready());
            let metrics = transport.metrics();
            assert!(metrics.connections.iter().any(|one| one.blocked > Duration::ZERO));

            broker.kill();
            eventually(|| {
                let health = transport.health();
                let is_lost = health.connections.iter().all(|one| one.last_error.is_some());
                is_lost && !server.health().is_ready()
            });
            let health = transport.health();
            assert!(!health.is_ready());
            for connection in &health.connections {
                assert_eq!(connection.state, ConnectionState::Connecting);
                assert_eq!(connection.host, format!("127.0.0.1:{}", broker.port()));
            }
            broker.restart();
            eventually(|| transport.health().is_ready() && server.health().is_ready());
            let health = transport.health();
            assert!(health.connections.iter().all(|one| one.reconnects > 0));
            let why = health.connections[0].last_error.clone();
            assert!(why.is_some(), "health has the last error");
            echo(&client, json!(2)).await;
            server.wait().await.unwrap();
            transport.close().await.unwrap();
        });
    }
}
