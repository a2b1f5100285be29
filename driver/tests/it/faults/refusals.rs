//! Messages a broker refuses: the sender gets a definite refusal, and no other sender is affected.

use std::collections::HashSet;
use std::sync::{Arc, Barrier, OnceLock};
use std::time::{Duration, Instant};

use leveret::{
    Context, Endpoint, Error, ErrorKind, Failure, Outcome, Retry, RpcClient, RpcServer, Target,
    Transport,
};
use leveret_support::{Broker, NONE};
use serde_json::{Value, json};
use tokio::task::block_in_place;

use super::vhost_of;
use crate::support::fixture::{Notes, client, connect, echo, eventually, run, server};

/// Longer than the driver's retries on a full queue, shorter than a client's timeout.
const SETTLED: Duration = Duration::from_secs(8);
/// Longest time until a definite refusal is reported.
const AT_ONCE: Duration = Duration::from_secs(2);

/// The largest message of [`small`].
const SIZE_MAX: usize = 256 << 10;
/// Above that, and below a channel's send buffer, so that it shares the channel with others.
const LARGE: usize = 300_000;
/// Above either.
const HUGE: usize = 2 << 20;

/// Returns a broker that accepts small messages only.
fn small() -> &'static Broker {
    static BROKER: OnceLock<Broker> = OnceLock::new();
    BROKER.get_or_init(|| {
        let broker = Broker::start();
        broker.set_max_message_size(SIZE_MAX);
        broker
    })
}

/// Returns arguments of `count` bytes.
fn bytes(count: usize) -> Value {
    json!({ "arg": "x".repeat(count) })
}

/// Waits until `casts_refused` is `count`, and checks that it stays so.
async fn refused(transport: &Transport, count: u64) {
    let begun = Instant::now();
    while transport.stats().casts_refused < count {
        let counted = transport.stats().casts_refused;
        assert!(begun.elapsed() < SETTLED, "{counted} of {count} refusals are counted");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(transport.stats().casts_refused, count, "each refusal is counted once");
    assert_eq!(transport.metrics().casts.refused, count);
}

// ---- full queues

/// Creates a topic whose queue is full and has no consumer.
async fn full(url: &str) -> (Transport, RpcClient) {
    let broker = Broker::shared();
    let transport = connect(url).await;
    let server = server(&transport, "t", "s", &Notes::default()).await;
    server.wait().await.unwrap();
    let limit = r#"{"max-length": 3, "overflow": "reject-publish"}"#;
    block_in_place(|| broker.set_policy(url, "limit", "^t$", limit));
    let client = client(&transport, "t");
    let once = client.prepare().with_retry(Retry::Never);
    let begun = Instant::now();
    while once.cast((), "note", &json!({"arg": "fills"})).await.is_ok() {
        assert!(begun.elapsed() < SETTLED, "the policy is not in effect");
    }
    (transport, client)
}

#[test]
fn buffered_casts_into_a_full_queue_are_counted() {
    run(async {
        let (transport, client) = full(&Broker::shared().vhost("full")).await;
        for number in 0..20 {
            client.cast_buffered((), "note", &json!({ "arg": number })).await.unwrap();
        }
        refused(&transport, 20).await;
        let once = client.prepare().with_retry(Retry::Never);
        for number in 0..5 {
            once.cast_buffered((), "note", &json!({ "arg": number })).await.unwrap();
        }
        refused(&transport, 25).await;
        transport.close().await.unwrap();
    });
}

/// The error of a full queue comes before the deadline, with outcome `Nacked`.
#[test]
fn a_cast_into_a_full_queue_ends_as_nacked() {
    run(async {
        let (transport, client) = full(&Broker::shared().vhost("nacked")).await;
        for (retry, limit) in [(Retry::Never, AT_ONCE), (Retry::UntilDeadline, SETTLED)] {
            let begun = Instant::now();
            let client = client.prepare().with_retry(retry);
            let error = client.cast((), "note", &json!({"arg": 1})).await.unwrap_err();
            assert_eq!(error.outcome(), Some(Outcome::Nacked), "{retry:?}: {error}");
            assert!(begun.elapsed() < limit, "{retry:?}: {:?}", begun.elapsed());
        }
        transport.close().await.unwrap();
    });
}

/// The driver retries on a queue that is full for a moment.
#[test]
fn a_cast_into_a_full_queue_waits_for_room() {
    let broker = Broker::shared();
    let url = broker.vhost("room");
    run(async {
        let (transport, client) = full(&url).await;
        let args = json!({"arg": "waits"});
        let cast = client.cast((), "note", &args);
        let room = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            block_in_place(|| broker.clear_policy(&url, "limit"));
        };
        let (cast, ()) = tokio::join!(cast, room);
        cast.unwrap();
        let notes = Notes::default();
        let server = server(&transport, "t", "s", &notes).await;
        let arrived = notes.include(&[json!("waits")], AT_ONCE).await;
        assert_eq!(arrived, Ok(()));
        let executed = notes.all().iter().filter(|note| **note == "waits").count();
        assert_eq!((executed, server.stats().duplicates), (1, 0));
        server.wait().await.unwrap();
        transport.close().await.unwrap();
    });
}

// ---- permissions

/// Creates a client of a user who may not write to any exchange.
async fn unprivileged(name: &str) -> (Transport, RpcClient) {
    let broker = Broker::shared();
    let url = broker.vhost(name);
    let user = format!("user-{}", vhost_of(&url));
    let transport = connect(&broker.url_for(&user, &url, [".*", NONE, ".*"])).await;
    let client = client(&transport, "t");
    (transport, client)
}

#[test]
fn buffered_casts_without_permission_are_counted() {
    run(async {
        let (transport, client) = unprivileged("unprivileged_buffered").await;
        for number in 0..3 {
            client.cast_buffered((), "note", &json!({ "arg": number })).await.unwrap();
        }
        refused(&transport, 3).await;
        // One after the other, because each refusal closes the channel.
        for number in 4..6 {
            client.cast_buffered((), "note", &json!({ "arg": number })).await.unwrap();
            refused(&transport, number).await;
        }
        transport.close().await.unwrap();
    });
}

/// Sends a cast and a call; the broker refuses both for certain with this code.
async fn is_refused(client: &RpcClient, args: &Value, code: &str) {
    for retry in [Retry::Never, Retry::Times(2), Retry::UntilDeadline] {
        let client = client.prepare().with_retry(retry);
        for is_call in [false, true] {
            let begun = Instant::now();
            let result = match is_call {
                true => client.call::<Value>((), "note", args).await.map(drop),
                false => client.cast((), "note", args).await,
            };
            let what = format!("{retry:?}, {}", if is_call { "call" } else { "cast" });
            let error = result.expect_err(&what);
            assert!(error.to_string().contains(code), "{what}: {error}");
            assert_eq!(error.kind(), ErrorKind::MessageDeliveryFailure, "{what}: {error}");
            assert_ne!(error.outcome(), Some(Outcome::MaybeSent), "{what}: {error}");
            assert!(begun.elapsed() < AT_ONCE, "{what}: {:?}", begun.elapsed());
        }
    }
}

#[test]
fn a_message_without_permission_is_refused_for_certain() {
    run(async {
        let (transport, client) = unprivileged("unprivileged").await;
        is_refused(&client, &json!({"arg": 1}), "403").await;
        transport.close().await.unwrap();
    });
}

// ---- sizes

#[test]
fn a_message_above_the_brokers_limit_is_refused_for_certain() {
    let url = small().vhost("too_large");
    run(async {
        let transport = connect(&url).await;
        let notes = Notes::default();
        let server = server(&transport, "t", "s", &notes).await;
        let client = client(&transport, "t");
        for size in [LARGE, HUGE] {
            is_refused(&client, &bytes(size), "406").await;
        }
        assert_eq!(echo(&client, json!("small")).await, "small");
        assert!(notes.all().is_empty());
        server.wait().await.unwrap();
        transport.close().await.unwrap();
    });
}

/// Starts a server with one method whose result is small and one whose result is too large. Each
/// call waits for `meet` before it returns.
async fn sizes(transport: &Transport, meet: &Arc<Barrier>) -> RpcServer {
    let (large, small) = (Arc::clone(meet), Arc::clone(meet));
    let endpoint = Endpoint::new()
        .method("large", move |_: Context, size: Value| {
            large.wait();
            let size = size["bytes"].as_u64().and_then(|size| usize::try_from(size).ok());
            Ok::<_, Failure>("x".repeat(size.unwrap()))
        })
        .method("small", move |_, number: Value| {
            small.wait();
            Ok::<_, Failure>(number)
        });
    let server = RpcServer::builder(transport, Target::new("t").with_server("s"));
    server.endpoint(endpoint).start().await.unwrap()
}

#[test]
fn a_result_above_the_brokers_limit_is_an_error_for_its_caller() {
    let url = small().vhost("large_result");
    run(async {
        let transport = connect(&url).await;
        let server = sizes(&transport, &Arc::new(Barrier::new(1))).await;
        let client = client(&transport, "t");
        for size in [LARGE, HUGE, LARGE] {
            let (begun, args) = (Instant::now(), json!({ "bytes": size }));
            let error = client.call::<String>((), "large", &args).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::RemoteError, "{error}");
            assert!(error.to_string().contains("large"), "the error has the reason: {error}");
            assert_eq!(error.outcome(), Some(Outcome::Answered));
            assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
        }
        assert_eq!(client.call::<Value>((), "small", &json!({"a": 1})).await.unwrap()["a"], 1);
        server.wait().await.unwrap();
        transport.close().await.unwrap();
    });
}

// ---- neighbours

/// Messages on one channel, one of which closes it.
const NEIGHBOURS: u64 = 40;
/// The number of the message that closes the channel.
const CULPRIT: u64 = NEIGHBOURS / 2;
const ROUNDS: u64 = 5;

#[test]
fn casts_beside_one_that_ends_their_channel_arrive() {
    let url = small().vhost("cast_neighbours");
    run(async {
        let transport = connect(&url).await;
        let notes = Notes::default();
        let server = server(&transport, "t", "s", &notes).await;
        let client = client(&transport, "t");
        client.cast((), "note", &json!({"arg": "first"})).await.unwrap();
        for round in 0..ROUNDS {
            let cast = async |number: u64| {
                let is_culprit = number == CULPRIT;
                let args =
                    if is_culprit { bytes(LARGE) } else { json!({ "arg": [round, number] }) };
                (number, client.cast((), "note", &args).await)
            };
            let results = all((0..=NEIGHBOURS).map(cast).collect()).await;
            let error = only_culprit_fails(round, results);
            assert_ne!(error.outcome(), Some(Outcome::MaybeSent), "{error}");
        }
        let sent = usize::try_from(NEIGHBOURS * ROUNDS + 1).unwrap();
        let noted = block_in_place(|| notes.wait_for(sent));
        let distinct: HashSet<String> = noted.iter().map(ToString::to_string).collect();
        assert_eq!((noted.len(), distinct.len()), (sent, sent), "each cast is executed once");
        server.wait().await.unwrap();
        transport.close().await.unwrap();
    });
}

#[test]
fn replies_beside_one_that_ends_their_channel_arrive() {
    let url = small().vhost("reply_neighbours");
    run(async {
        let transport = connect(&url).await;
        // Their methods return together, so their replies are in flight together.
        let meet = Arc::new(Barrier::new(usize::try_from(NEIGHBOURS + 1).unwrap()));
        let server = sizes(&transport, &meet).await;
        let client = client(&transport, "t");
        for round in 0..ROUNDS {
            let call = async |number: u64| {
                if number == CULPRIT {
                    let large = json!({ "bytes": LARGE });
                    return (number, client.call::<Value>((), "large", &large).await.map(drop));
                }
                let answer = client.call::<Value>((), "small", &json!({ "number": number })).await;
                (number, answer.map(|answer| assert_eq!(answer["number"], number)))
            };
            let results = all((0..=NEIGHBOURS).map(call).collect()).await;
            let error = only_culprit_fails(round, results);
            assert_eq!(error.kind(), ErrorKind::RemoteError, "{error}");
        }
        server.wait().await.unwrap();
        transport.close().await.unwrap();
    });
}

/// Checks that only the culprit fails; returns its error.
fn only_culprit_fails(round: u64, results: Vec<(u64, Result<(), Error>)>) -> Error {
    let (culprit, neighbours): (Vec<_>, Vec<_>) =
        results.into_iter().partition(|(number, _)| *number == CULPRIT);
    let failed: Vec<_> = neighbours
        .iter()
        .filter_map(|(number, result)| Some((number, result.as_ref().err()?.to_string())))
        .collect();
    assert!(failed.is_empty(), "round {round}: {} neighbours fail: {failed:?}", failed.len());
    let (_, result) = culprit.into_iter().next().expect("the culprit has a result");
    result.expect_err("it is too large")
}

/// Runs futures concurrently on one task, polled in order, so that their messages leave together.
async fn all<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut pending: Vec<_> = futures.into_iter().map(Box::pin).map(Some).collect();
    let mut done = Vec::new();
    std::future::poll_fn(|cx| {
        for slot in &mut pending {
            let Some(future) = slot else { continue };
            if let std::task::Poll::Ready(output) = future.as_mut().poll(cx) {
                done.push(output);
                *slot = None;
            }
        }
        match pending.iter().all(Option::is_none) {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
    done
}

/// A request above the server's limit fails alone, and its caller gets an error.
#[test]
fn a_request_above_the_servers_limit_is_an_error_for_its_caller() {
    let url = Broker::shared().vhost("large_request");
    run(async {
        let serving = connect(&format!("{url}?body_max=100000")).await;
        let sending = connect(&url).await;
        let notes = Notes::default();
        let server = server(&serving, "t", "s", &notes).await;
        let client = client(&sending, "t");
        echo(&client, json!("small")).await;
        let begun = Instant::now();
        let large = "x".repeat(200_000);
        let error = client.call::<Value>((), "echo", &json!({ "arg": large })).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RemoteError, "{error}");
        assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
        client.cast((), "note", &json!({ "arg": large })).await.unwrap();
        client.cast((), "note", &json!({"arg": "after"})).await.unwrap();
        assert_eq!(block_in_place(|| notes.wait_for(1)), ["after"]);
        assert_eq!(server.stats().reconnects, 0, "the connection stays open");
        block_in_place(|| {
            eventually(|| Broker::shared().queues_of(&url).iter().all(|one| one.messages == 0));
        });
        server.wait().await.unwrap();
        serving.close().await.unwrap();
        sending.close().await.unwrap();
    });
}
