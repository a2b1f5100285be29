//! How servers stop: requests they finish, requests they return, and waits for their end.

use std::future::poll_fn;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use leveret::engine::loopback::{Loopback, LoopbackConfig};
use leveret::{
    ConnectionState, Context, DriverConfig, Endpoint, ErrorKind, Executor, Failure, RpcServer,
    Target, Transport,
};
use serde_json::json;

use crate::support::every_broker::on_every_broker;
use crate::support::fixture::{Notes, client, connect, echo, eventually, run, server};

on_every_broker! {
    what_was_not_begun_goes_to_another_server
    a_runtime_gives_back_as_well
    an_endpoint_that_never_returns_holds_up_the_end_alone
    many_may_stop_and_wait
    a_wait_that_was_given_up_may_be_repeated
}

/// An endpoint whose method `hold` reports its start and returns on a signal.
struct BlockingEndpoint {
    release: Sender<()>,
    begun: Receiver<()>,
    endpoint: Endpoint,
}

fn blocking_endpoint() -> BlockingEndpoint {
    let (release, released) = channel::<()>();
    let (begin, begun) = channel();
    let released = Arc::new(Mutex::new(released));
    let endpoint = Endpoint::new()
        .method("hold", move |_: Context, (): ()| {
            begin.send(()).unwrap();
            let _ = released.lock().unwrap().recv();
            Ok::<_, Failure>("held")
        })
        .method("echo", |_, mut args: serde_json::Map<String, serde_json::Value>| {
            Ok::<_, Failure>(args.remove("arg"))
        })
        .method("note", |_, _: serde_json::Value| Ok::<_, Failure>(()));
    BlockingEndpoint { release, begun, endpoint }
}

/// Requests in the queue: more than a server acknowledges ahead of its workers.
const FLOOD: usize = 1500;
const ACKNOWLEDGED: usize = 1024;

async fn what_was_not_begun_goes_to_another_server(url: String) {
    let config = DriverConfig::default().with_executor_threads(1);
    let transport = Transport::builder(&url).config(config).connect().await.unwrap();
    let BlockingEndpoint { release, begun, endpoint } = blocking_endpoint();
    let target = Target::new("t").with_server("first");
    let first = RpcServer::builder(&transport, target).endpoint(endpoint);
    let first = first.start().await.unwrap();
    let client = client(&transport, "t");
    client.cast((), "hold", &()).await.unwrap();
    begun.recv().unwrap();
    for number in 0..FLOOD {
        client.cast((), "note", &json!({ "arg": number })).await.unwrap();
    }
    // Confirmed requests are not always delivered: the rest may stay at the broker.
    first.stop().await.unwrap();
    let second_notes = Notes::default();
    let second = server(&transport, "t", "second", &second_notes).await;
    let returned = second_notes.wait_for(FLOOD - ACKNOWLEDGED);
    assert!(first.stats().returned <= returned.len() as u64);
    release.send(()).unwrap();
    first.wait().await.unwrap();
    eventually(|| {
        let (first, second) = (first.stats().dispatched, second.stats().dispatched);
        first + second == 1 + FLOOD as u64
    });
    assert_eq!(second.stats().duplicates, 0, "no request is executed twice");
    second.wait().await.unwrap();
}

async fn a_runtime_gives_back_as_well(url: String) {
    let transport = connect(&url).await;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let BlockingEndpoint { release, begun, endpoint } = blocking_endpoint();
    let target = Target::new("t").with_server("first");
    let first = RpcServer::builder(&transport, target)
        .endpoint(endpoint)
        .executor(Executor::Runtime(runtime.handle().clone()));
    let first = first.start().await.unwrap();
    let client = client(&transport, "t");
    client.cast((), "hold", &()).await.unwrap();
    begun.recv().unwrap();
    for number in 0..FLOOD {
        client.cast((), "note", &json!({ "arg": number })).await.unwrap();
    }
    first.stop().await.unwrap();
    release.send(()).unwrap();
    first.wait().await.unwrap();
    let notes = Notes::default();
    let second = server(&transport, "t", "second", &notes).await;
    notes.wait_for(FLOOD - ACKNOWLEDGED);
    eventually(|| first.stats().dispatched + second.stats().dispatched == 1 + FLOOD as u64);
    second.wait().await.unwrap();
    runtime.shutdown_background();
}

async fn an_endpoint_that_never_returns_holds_up_the_end_alone(url: String) {
    let transport = connect(&url).await;
    let BlockingEndpoint { release, begun, endpoint } = blocking_endpoint();
    let target = Target::new("t").with_server("s");
    let server = RpcServer::builder(&transport, target)
        .endpoint(endpoint)
        .log_after(Duration::from_millis(10))
        .start()
        .await
        .unwrap();
    let client = client(&transport, "t");
    let unheard = client.prepare().with_timeout(Duration::from_millis(200));
    let error = unheard.call::<String>((), "hold", &()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MessagingTimeout);
    begun.recv().unwrap();
    assert_eq!(echo(&client, json!("others are served")).await, "others are served");
    server.reset();
    server.stop_within(Duration::from_secs(60)).await.unwrap();
    let error = server.wait_within(Duration::from_millis(50)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TaskTimeout, "{error}");
    assert!(error.is_timeout());
    release.send(()).unwrap();
    server.wait().await.unwrap();
    server.wait_within(Duration::ZERO).await.unwrap();
    eventually(|| transport.stats().replies_late == 1);
}

/// No other server consumes a server's own queue, which is deleted with the connection.
#[test]
fn what_waits_in_a_queue_of_its_own_is_executed_all_the_same() {
    run(async {
        let url = "fake:///own-queue?queue_profile=local-random";
        let config = DriverConfig::default().with_executor_threads(1);
        let transport = Transport::builder(url).config(config).connect().await.unwrap();
        let BlockingEndpoint { release, begun, endpoint } = blocking_endpoint();
        let target = Target::new("t").with_server("s");
        let server = RpcServer::builder(&transport, target).endpoint(endpoint);
        let server = server.start().await.unwrap();
        let client = client(&transport, "t");
        client.cast((), "hold", &()).await.unwrap();
        begun.recv().unwrap();
        for number in 0..FLOOD {
            client.cast((), "note", &json!({ "arg": number })).await.unwrap();
        }
        server.stop().await.unwrap();
        release.send(()).unwrap();
        server.wait().await.unwrap();
        assert_eq!((server.stats().dispatched, server.stats().returned), (1 + FLOOD as u64, 0));
    });
}

/// The broker is down, so the server cannot cancel its consumers; none of them returns with the
/// broker.
#[test]
fn a_server_that_stopped_without_its_broker_stays_stopped() {
    let peer = Loopback::start(LoopbackConfig::default()).unwrap();
    let port = peer.addr().port();
    run(async {
        let mut config = DriverConfig::default();
        config.connection.operation_timeout = Duration::from_secs(2);
        let url = format!("rabbit://guest:guest@127.0.0.1:{port}/");
        let transport = Transport::builder(&url).config(config).connect().await.unwrap();
        let stopped = server(&transport, "t", "stopped", &Notes::default()).await;
        peer.stop();
        eventually(|| stopped.stats().reconnects == 1);
        let error = stopped.stop().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::MessagingTimeout, "{error}");
        let peer = Loopback::start(LoopbackConfig { port, ..LoopbackConfig::default() }).unwrap();
        // Connections for requests, for answers, and of the server.
        eventually(|| peer.stats().connections == 3);
        let notes = Notes::default();
        let other = connect(&url).await;
        let second = server(&other, "t", "second", &notes).await;
        // The server's queues: the shared one, its own, and the fanout queue.
        let client = client(&other, "t");
        for number in 0..20 {
            client.cast((), "note", &json!({ "arg": number })).await.unwrap();
        }
        let all_servers = client.prepare().with_fanout(true);
        all_servers.cast((), "note", &json!({"arg": "all"})).await.unwrap();
        notes.wait_for(21);
        assert_eq!((stopped.stats().dispatched, stopped.stats().returned), (0, 0));
        second.wait().await.unwrap();
    });
}

async fn many_may_stop_and_wait(url: String) {
    let transport = connect(&url).await;
    let server = server(&transport, "t", "s", &Notes::default()).await;
    let client = client(&transport, "t");
    echo(&client, json!("warm")).await;
    let one = async {
        server.stop().await.unwrap();
        server.wait().await.unwrap();
    };
    let other = async {
        server.wait().await.unwrap();
        server.stop().await.unwrap();
    };
    let given_up = server.wait_within(Duration::ZERO);
    let (_, (), ()) = tokio::join!(given_up, one, other);
    server.wait().await.unwrap();
    server.stop_blocking().unwrap();
}

/// The first caller gives up when the connection is closed, just before it hears of it.
async fn a_wait_that_was_given_up_may_be_repeated(url: String) {
    let transport = connect(&url).await;
    let server = server(&transport, "t", "s", &Notes::default()).await;
    let is_closed = poll_fn(|_| match server.health().connection.state {
        ConnectionState::Closed => Poll::Ready(()),
        _ => Poll::Pending,
    });
    tokio::select! {
        biased;
        () = is_closed => {}
        ended = server.wait() => panic!("it ended before its connection: {ended:?}"),
    }
    server.wait().await.unwrap();
}
