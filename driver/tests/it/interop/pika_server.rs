//! A Leveret client, and servers of Python's former `pika` driver: in their dialect, and in the
//! format that servers of both dialects read.

use std::time::Duration;

use leveret::engine::{Consume, QueueBind, QueueDeclare};
use leveret::{Context, ErrorKind, Retry, RpcClient, Serialization, TraceParent, Version};
use leveret_support::Broker;
use serde_json::{Value, json};

use crate::support::fixture::{client, connect, echo, run};
use crate::support::old_python::old_server;
use crate::support::raw::raw;

#[test]
fn an_old_server_answers_us() {
    asked("pika");
}

#[test]
fn an_old_server_answers_us_in_msgpack() {
    packed("pika");
}

#[test]
fn an_old_server_answers_who_does_not_know_what_it_speaks() {
    asked("dual");
}

fn asked(dialect: &str) {
    let url = Broker::shared().vhost("pika-server");
    let server = old_server(&url, "tópic", "sérver");
    let other = old_server(&url, "tópic", "other");
    run(async {
        let transport = connect(&format!("{dialect}+{url}")).await;
        let client = client(&transport, "tópic");
        calls(&client).await;
        errors(&client).await;
        casts(&client).await;
        absent_server(&client).await;
        assert_eq!(transport.stats().calls_outstanding, 0);
        assert_eq!(transport.stats().reconnects, 0);
        transport.close().await.unwrap();
    });
    server.stop();
    other.stop();
}

async fn calls(client: &RpcClient) {
    for retry in [None, Some(Retry::Never), Some(Retry::Times(2))] {
        let client = match retry {
            None => client.prepare(),
            Some(retry) => client.prepare().with_retry(retry),
        };
        for value in [
            json!({"x": "hé", "l": [1, 2.5, null, true, -7]}),
            json!("\u{0}\u{7f}\u{2028}😀 \" \\ / \n"),
            json!({}),
        ] {
            assert_eq!(echo(&client, value.clone()).await, value, "{retry:?}");
        }
        let named = client.prepare().with_server("other");
        let who: Value = named.call((), "whoami", &()).await.unwrap();
        assert_eq!(who, json!({"server": "other", "endpoint": "plain"}));
    }
    let sum: i64 = client.call((), "add", &json!({"a": 2, "b": 3})).await.unwrap();
    assert_eq!(sum, 5);
    client.call::<()>((), "none", &()).await.unwrap();
    let versioned = client.prepare().with_namespace("ns1").with_version(Version::new(1, 2));
    let who: Value = versioned.call((), "whoami", &()).await.unwrap();
    assert_eq!(who["endpoint"], "ns1");
    let context = Context::new().with("user", "álice").with("nested", json!({"a": [1, null]}));
    let seen: Value = client.call(&context, "ctxt", &()).await.unwrap();
    assert_eq!(seen, json!({"user": "álice", "nested": {"a": [1, null]}}));
    let parent = TraceParent::new(1, 2, true).unwrap();
    let traced = Context::new().with_traceparent(parent);
    let seen: Value = client.call(&traced, "ctxt", &()).await.unwrap();
    assert_eq!(seen["traceparent"], parent.to_string());
    let large = "é".repeat(1_000_000);
    let size: usize = client.call((), "size", &json!({ "arg": large })).await.unwrap();
    assert_eq!(size, 1_000_000);
    let blob: String = client.call((), "blob", &json!({"size": 2_000_000})).await.unwrap();
    assert_eq!(blob.len(), 2_000_000);
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
    assert!(boom.args().is_empty(), "the dialect has no arguments: {:?}", boom.args());
    assert!(boom.traceback().iter().any(|line| line.contains("endpoints.py")), "{boom}");
    let kaput = raised(client, "boomkw").await;
    assert_eq!((kaput.class(), kaput.module()), ("BoomError", "endpoints"));
    assert_eq!(kaput.message(), "kaput");
    assert_eq!(raised(client, "expected").await.class(), "KeyError");
    assert_eq!(raised(client, "absent").await.class(), "NoSuchMethod");
    let newer = client.prepare().with_version(Version::new(1, 9));
    assert_eq!(raised(&newer, "echo").await.class(), "UnsupportedVersion");
    let short = client.prepare().with_timeout(Duration::from_millis(300));
    let error = short.call::<()>((), "slow", &json!({"seconds": 1})).await.unwrap_err();
    assert!(error.is_timeout(), "{error}");
}

async fn casts(client: &RpcClient) {
    let one = client.prepare().with_server("other");
    let mut expected = vec![json!("fanout"), json!("buffered fanout")];
    for (number, retry) in [Retry::UntilDeadline, Retry::Never, Retry::Times(2)].iter().enumerate()
    {
        let one = one.prepare().with_retry(*retry);
        one.cast((), "note", &json!({"arg": number})).await.unwrap();
        one.cast_buffered((), "note", &json!({"arg": [number]})).await.unwrap();
        expected.extend([json!(number), json!([number])]);
    }
    let all_servers = client.prepare().with_fanout(true);
    all_servers.cast((), "note", &json!({"arg": "fanout"})).await.unwrap();
    all_servers.cast_buffered((), "note", &json!({"arg": "buffered fanout"})).await.unwrap();
    noted(&one, expected).await;
    let sérver = client.prepare().with_server("sérver");
    noted(&sérver, vec![json!("fanout"), json!("buffered fanout")]).await;
}

/// Waits until a server has as many notes, and checks that they are exactly these.
async fn noted(client: &RpcClient, mut expected: Vec<Value>) {
    let mut notes: Vec<Value> = Vec::new();
    for _ in 0..1000 {
        notes = client.call((), "noted", &()).await.unwrap();
        if notes.len() >= expected.len() {
            break;
        }
    }
    notes.sort_by_key(ToString::to_string);
    expected.sort_by_key(ToString::to_string);
    assert_eq!(notes, expected);
}

async fn absent_server(client: &RpcClient) {
    for absent in [client.prepare().with_topic("nobody"), client.prepare().with_server("nobody")] {
        let mandatory = absent.prepare().with_at_least_once(true);
        for result in [mandatory.call::<()>((), "x", &()).await, mandatory.cast((), "x", &()).await]
        {
            let error = result.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::MessageUndeliverable, "{error}");
        }
        let short = absent.with_timeout(Duration::from_millis(300));
        let error = short.call::<()>((), "x", &()).await.unwrap_err();
        assert!(error.is_timeout(), "{error}");
    }
}

/// Requests arrive in both serializations, and the client reads answers in either.
fn packed(dialect: &str) {
    let url = Broker::shared().vhost("pika-msgpack");
    let server = old_server(&url, "t", "s");
    let vhost = url.rsplit('/').next().unwrap().to_owned();
    run(async {
        let mut config = leveret::DriverConfig::default();
        config.pika.serialization = Serialization::MsgPack;
        let url = format!("{dialect}+{url}");
        let packing = crate::support::fixture::builder(&url, config).connect().await.unwrap();
        let plain = connect(&url).await;
        let (_engine, channel) = raw(Broker::shared().port(), &vhost).await;
        let queue = QueueDeclare { name: "tap".into(), ..QueueDeclare::default() };
        channel.declare_queue(queue).await.unwrap();
        for key in ["with_ack.t", "no_ack.t"] {
            let bind = QueueBind {
                queue: "tap".into(),
                exchange: "openstack_rpc".into(),
                routing_key: key.into(),
                ..QueueBind::default()
            };
            channel.bind_queue(bind).await.unwrap();
        }
        let mut tap = channel.consume(Consume::from_queue("tap")).await.unwrap();
        let (packing, plain) = (client(&packing, "t"), client(&plain, "t"));
        let context = Context::new().with("user", "álice");
        for (client, content_type) in [
            (packing.prepare(), "application/msgpack"),
            (plain.prepare(), "application/json"),
            (packing.with_serialization(Serialization::Json), "application/json"),
            (plain.prepare().with_serialization(Serialization::MsgPack), "application/msgpack"),
        ] {
            let value = json!({"x": "hé", "l": [1, 2.5, null, -300, 1u64 << 63]});
            assert_eq!(echo(&client, value.clone()).await, value);
            let seen: Value = client.call(&context, "ctxt", &()).await.unwrap();
            assert_eq!(seen, json!({"user": "álice"}));
            let boom = client.call::<()>((), "boom", &()).await.unwrap_err();
            assert_eq!(boom.remote().unwrap().class(), "ValueError");
            for _ in 0..3 {
                let request = tap.next().await.unwrap().unwrap();
                assert_eq!(request.properties().content_type, Some(content_type));
                assert_eq!(request.routing_key(), "with_ack.t");
                request.ack();
            }
        }
        // A request with no retry goes to the queue without acknowledgements.
        assert_eq!(echo(&plain.with_retry(Retry::Never), json!(1)).await, 1);
        assert_eq!(tap.next().await.unwrap().unwrap().routing_key(), "no_ack.t");
    });
    server.stop();
}

#[test]
fn who_waits_for_signs_of_life_waits_for_an_old_server_all_the_same() {
    let url = Broker::shared().vhost("pika-monitor");
    let server = old_server(&url, "t", "s");
    run(async {
        for dialect in ["dual", "pika"] {
            let transport = connect(&format!("{dialect}+{url}")).await;
            let client = client(&transport, "t").with_call_monitor_timeout(Duration::from_secs(2));
            let done: String = client.call((), "slow", &json!({"seconds": 3})).await.unwrap();
            assert_eq!(done, "done", "the server sends no heartbeats, and its answer counts");
            let short = client.with_timeout(Duration::from_millis(500));
            let error = short.call::<()>((), "slow", &json!({"seconds": 1})).await.unwrap_err();
            assert!(error.is_timeout(), "the call's own timeout applies: {error}");
            transport.close().await.unwrap();
        }
    });
    server.stop();
}
