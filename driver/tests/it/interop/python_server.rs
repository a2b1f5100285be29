//! A Leveret client and a Python server: requests and replies between them.

use std::time::Duration;

use leveret::{Context, ErrorKind, RpcClient, Target, TraceParent, Transport, Version};
use leveret_support::{Authority, Broker, Peer};
use serde_json::{Value, json};

use crate::support::fixture::{client, connect, echo, eventually, run};
use crate::support::tls;

fn python(url: &str, topic: &str, server: &str) -> Peer {
    Peer::spawn("rpc_server.py", &["--url", url, "--topic", topic, "--server", server])
}

async fn noted(client: &RpcClient) -> Vec<Value> {
    client.call((), "noted", &()).await.unwrap()
}

#[test]
fn a_python_server_answers_us() {
    answered(&Broker::shared().vhost("python-server"));
}

#[test]
fn a_python_server_answers_us_over_tls() {
    let authority = Authority::new();
    answered(&tls::url(&authority, "python-server-tls"));
}

fn answered(url: &str) {
    let server = python(url, "tópic", "sérver");
    run(async {
        let transport = connect(url).await;
        let client = client(&transport, "tópic");
        calls(&client).await;
        errors(&client).await;
        casts(&client).await;
        transport.close().await.unwrap();
    });
    server.stop();
}

async fn calls(client: &RpcClient) {
    for value in [
        json!({"x": "hé", "l": [1, 2.5, null]}),
        json!("\u{0}\u{7f}\u{2028}😀 \" \\ / \n"),
        json!([1e16, 1e-5, 0.1, -0.0, 1.0]),
        serde_json::from_str("[123456789012345678901234567890, -9223372036854775809]").unwrap(),
    ] {
        // Floats return in Python's notation, which arbitrary precision preserves.
        let back = echo(client, value.clone()).await;
        assert_eq!(numbers(&back), numbers(&value), "{back}");
    }
    let sum: i64 = client.call((), "add", &json!({"a": 2, "b": 3})).await.unwrap();
    assert_eq!(sum, 5);
    client.call::<()>((), "none", &()).await.unwrap();
    let named = client.prepare().with_server("sérver");
    let who: Value = named.call((), "whoami", &()).await.unwrap();
    assert_eq!(who, json!({"server": "sérver", "endpoint": "plain"}));
    let versioned = client.prepare().with_namespace("ns1").with_version(Version::new(1, 2));
    let who: Value = versioned.call((), "whoami", &()).await.unwrap();
    assert_eq!(who["endpoint"], "ns1");
    let context = Context::new().with("user", "álice").with("nested", json!({"a": [1, null]}));
    let seen: Value = client.call(&context, "ctxt", &()).await.unwrap();
    let expected = json!({"user": "álice", "nested": {"a": [1, null]}, "client_timeout": null});
    assert_eq!(seen, expected);
    let parent = TraceParent::new(1, 2, true).unwrap();
    let traced = Context::new().with_traceparent(parent).with_tracestate("v=1");
    let seen: Value = client.call(&traced, "ctxt", &()).await.unwrap();
    assert_eq!(
        (&seen["traceparent"], &seen["tracestate"]),
        (&json!(parent.to_string()), &json!("v=1"))
    );
    // Each element takes seven bytes on the wire, so the message is near RabbitMQ 4's limit of 16
    // MiB.
    let large = "é".repeat(2_390_000);
    let size: usize = client.call((), "size", &json!({ "arg": large })).await.unwrap();
    assert_eq!(size, 2_390_000);
    let blob: String = client.call((), "blob", &json!({"size": 5_000_000})).await.unwrap();
    assert_eq!(blob.len(), 5_000_000);
}

/// Replaces numbers by doubles or text, so that notations compare equal.
fn numbers(value: &Value) -> Value {
    match value {
        Value::Number(number) if number.to_string().contains(['.', 'e']) => {
            json!(number.as_f64().unwrap().to_bits())
        }
        Value::Array(list) => list.iter().map(numbers).collect(),
        other => other.clone(),
    }
}

async fn errors(client: &RpcClient) {
    let raised = async |client: &RpcClient, method: &str| {
        let error = client.call::<()>((), method, &()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RemoteError, "{error}");
        error.remote().unwrap().clone()
    };
    let boom = raised(client, "boom").await;
    assert_eq!((boom.class(), boom.module()), ("ValueError", "builtins"));
    assert_eq!(boom.message(), "('bad value', 42)");
    assert_eq!(boom.args(), [json!("bad value"), json!(42)]);
    assert!(boom.traceback().iter().any(|line| line.contains("endpoints.py")), "{boom}");
    let kaput = raised(client, "boomkw").await;
    assert_eq!((kaput.class(), kaput.module()), ("BoomError", "endpoints"));
    assert_eq!(kaput.kwargs()["code"], 7);
    assert_eq!(raised(client, "absent").await.class(), "NoSuchMethod");
    let newer = client.prepare().with_version(Version::new(1, 9));
    let unsupported = raised(&newer, "echo").await;
    assert_eq!(unsupported.class(), "UnsupportedVersion");
    assert_eq!(
        unsupported.message(),
        "Endpoint does not support RPC version 1.9. Attempted method: echo"
    );
    let short = client.prepare().with_timeout(Duration::from_millis(300));
    let error = short.call::<()>((), "slow", &json!({"seconds": 1})).await.unwrap_err();
    assert!(error.is_timeout(), "{error}");
    let monitored = client.prepare().with_call_monitor_timeout(Duration::from_secs(2));
    let done: String = monitored.call((), "slow", &json!({"seconds": 3})).await.unwrap();
    assert_eq!(done, "done", "the client reads Python's heartbeats");
}

async fn casts(client: &RpcClient) {
    client.cast((), "note", &json!({"arg": "cast"})).await.unwrap();
    client.cast_buffered((), "note", &json!({"arg": "buffered"})).await.unwrap();
    let all_servers = client.prepare().with_fanout(true);
    all_servers.cast((), "note", &json!({"arg": "fanout"})).await.unwrap();
    let mut notes = Vec::new();
    for _ in 0..1000 {
        notes = noted(client).await;
        if notes.len() == 3 {
            break;
        }
    }
    for note in ["cast", "buffered", "fanout"] {
        assert!(notes.contains(&json!(note)), "{note} in {notes:?}");
    }
}

#[test]
fn ten_thousand_calls_leave_nothing_behind() {
    let url = Broker::shared().vhost("python-many");
    let server = python(&url, "t", "s");
    run(async {
        let transport = connect(&url).await;
        let client = client(&transport, "t").with_timeout(Duration::from_secs(60));
        echo(&client, json!("warm")).await;
        let names = || Broker::shared().queues_of(&url).into_iter().map(|queue| queue.name);
        let before: Vec<String> = names().collect();
        many(&transport, &client, 10_000).await;
        assert_eq!(transport.stats().calls_outstanding, 0);
        assert_eq!(transport.stats().replies_late, 0);
        assert!(names().eq(before), "no queue was added");
        // The last acknowledgement may still be in flight.
        eventually(|| Broker::shared().queues_of(&url).iter().all(|queue| queue.messages == 0));
        // Leveret has two: publish and replies. Python has the listener and at most a pool of
        // senders.
        assert!(Broker::shared().connections_of(&url) <= 2 + 1 + 30);
        transport.close().await.unwrap();
    });
    assert!(server.is_running());
    server.stop();
    eventually(|| Broker::shared().connections_of(&url) == 0);
}

/// Sixteen callers, each with one call at a time.
async fn many(transport: &Transport, client: &RpcClient, calls: usize) {
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..16 {
        let client = client.clone();
        callers.spawn(async move {
            for number in (caller..calls).step_by(16) {
                assert_eq!(echo(&client, json!(number)).await, number);
            }
        });
    }
    while let Some(caller) = callers.join_next().await {
        caller.unwrap();
    }
    assert_eq!(transport.stats().reconnects, 0);
}

#[test]
fn durable_and_quorum_entities_agree_with_pythons() {
    for (name, option, query) in [
        ("durable", "amqp_durable_queues=true", "amqp_durable_queues=true"),
        ("quorum", "rabbit_quorum_queue=true", "rabbit_quorum_queue=true"),
        (
            "transient",
            "rabbit_transient_quorum_queue=true",
            "rabbit_transient_quorum_queue=true&rabbit_transient_queues_ttl=1800",
        ),
    ] {
        let url = Broker::shared().vhost(name);
        let arguments = ["--url", &url, "--topic", "t", "--server", "s", "--option", option];
        let server = Peer::spawn("rpc_server.py", &arguments);
        run(async {
            let transport = connect(&format!("{url}?{query}")).await;
            let client = client(&transport, "t");
            assert_eq!(echo(&client, json!(name)).await, name);
            // A Leveret server declares the same queues, or the broker would refuse it.
            let ours = leveret::RpcServer::builder(&transport, Target::new("t").with_server("s"));
            let ours = ours.start().await.unwrap();
            ours.wait().await.unwrap();
            transport.close().await.unwrap();
        });
        server.stop();
    }
}
