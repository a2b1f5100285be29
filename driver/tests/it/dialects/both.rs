//! Both dialects at once: peers of Python's current driver and of its former one, Leveret servers
//! of both dialects, and clients that detect the dialect.

use std::time::Duration;

use leveret::{Context, ErrorKind, Retry, RpcClient, Transport};
use leveret_support::{Broker, Peer};
use serde_json::{Value, json};

use crate::support::fixture::{Notes, client, connect, echo, eventually, run, server};
use crate::support::old_python::{ask, old_client, old_server};

pub(crate) fn new_client(url: &str) -> Peer {
    Peer::spawn("rpc_client.py", &["--url", url])
}

pub(crate) fn new_server(url: &str, topic: &str, server: &str) -> Peer {
    Peer::spawn("rpc_server.py", &["--url", url, "--topic", topic, "--server", server])
}

pub(crate) async fn dual(url: &str) -> Transport {
    connect(&format!("dual+{url}")).await
}

pub(crate) async fn who(client: &RpcClient) -> String {
    let who: Value = client.call((), "whoami", &()).await.unwrap();
    who.get("server").unwrap_or(&who).as_str().unwrap().to_owned()
}

/// Waits until a Python server has as many notes, and checks that they are exactly these.
async fn noted(client: &RpcClient, server: &str, expected: &[Value]) {
    let client = client.prepare().with_server(server);
    let mut notes: Vec<Value> = Vec::new();
    for _ in 0..1000 {
        notes = client.call((), "noted", &()).await.unwrap();
        if notes.len() >= expected.len() {
            break;
        }
    }
    notes.sort_by_key(ToString::to_string);
    assert_eq!(notes, expected, "{server}");
}

#[test]
fn a_server_of_both_serves_everybody_at_once() {
    everybody_is_served("");
}

/// Durable and quorum queues of one dialect do not change the queues of the other.
#[test]
fn a_server_of_both_keeps_the_queues_of_each_as_they_are() {
    everybody_is_served("?amqp_durable_queues=true&rabbit_quorum_queue=true");
}

fn everybody_is_served(query: &str) {
    let url = Broker::shared().vhost("everybody");
    run(async {
        let transport = dual(&format!("{url}{query}")).await;
        let notes = [Notes::default(), Notes::default()];
        let first = server(&transport, "t", "s1", &notes[0]).await;
        let second = server(&transport, "t", "s2", &notes[1]).await;
        let (new, old) = (format!("{url}{query}"), url.clone());
        let peers = [("new", new), ("old", old)].map(|(age, url)| {
            tokio::task::spawn_blocking(move || {
                let mut python = match age {
                    "old" => old_client(&url, ""),
                    _ => new_client(&url),
                };
                works(&mut python, age);
                python.stop();
            })
        });
        let auto = dual(&format!("{url}{query}")).await;
        let client = client(&auto, "t");
        for number in 0..50 {
            assert_eq!(echo(&client, json!(number)).await, number);
        }
        let boom = client.call::<()>((), "boom", &()).await.unwrap_err();
        assert_eq!(boom.remote().unwrap().args(), [json!("bad value"), json!(42)]);
        let all_servers = client.prepare().with_fanout(true);
        all_servers.cast((), "note", &json!({"arg": "both fanout"})).await.unwrap();
        client.with_server("s2").cast((), "note", &json!({"arg": "both cast"})).await.unwrap();
        for peer in peers {
            peer.await.unwrap();
        }
        eventually(|| [3, 6] == [notes[0].all().len(), notes[1].all().len()]);
        // The second copy of the fanout, on the queue of the other dialect.
        eventually(|| first.stats().duplicates + second.stats().duplicates == 2);
        let mut all = notes[0].all();
        all.sort_by_key(ToString::to_string);
        assert_eq!(all, ["both fanout", "new fanout", "old fanout"]);
        let served = transport.metrics().served;
        assert_eq!((served.of_kombu, served.of_pika), (54, 54), "{served:?}");
        assert_eq!(served.of_both, 50 + 1 + 2 + 1, "{served:?}");
        assert_eq!((served.undecodable, served.expired), (0, 0));
        assert_eq!(auto.metrics().fallbacks, 0, "the queues of the first dialect have a server");
        first.wait().await.unwrap();
        second.wait().await.unwrap();
        auto.close().await.unwrap();
        transport.close().await.unwrap();
    });
}

fn works(python: &mut Peer, age: &str) {
    let many = json!({"args": {"arg": age}, "count": 50, "threads": 5});
    let answer = ask(python, "call", ("t", "echo"), many);
    assert_eq!((&answer["done"], &answer["errors"]), (&json!(50), &json!(0)), "{answer}");
    let answer = ask(python, "call", ("t", "boom"), json!({}));
    assert_eq!(answer["error"]["class"], "ValueError", "{answer}");
    ask(python, "fanout", ("t", "note"), json!({"args": {"arg": format!("{age} fanout")}}));
    let cast = json!({"server": "s2", "args": {"arg": format!("{age} cast")}});
    ask(python, "cast", ("t", "note"), cast);
}

#[test]
fn a_client_that_finds_out_reaches_todays_servers() {
    let url = Broker::shared().vhost("auto-new");
    let peers = [new_server(&url, "t", "k1"), new_server(&url, "t", "k2")];
    run(async {
        let transport = dual(&url).await;
        let client = client(&transport, "t");
        everything(&client, ["k1", "k2"]).await;
        let boom = client.call::<()>((), "boom", &()).await.unwrap_err();
        let boom = boom.remote().unwrap().clone();
        assert_eq!(boom.args(), [json!("bad value"), json!(42)]);
        assert!(transport.metrics().fallbacks > 0, "no request went to the first dialect");
        transport.close().await.unwrap();
    });
    peers.into_iter().for_each(Peer::stop);
}

#[test]
fn a_client_that_finds_out_reaches_former_servers() {
    let url = Broker::shared().vhost("auto-old");
    let peers = [old_server(&url, "t", "p1"), old_server(&url, "t", "p2")];
    run(async {
        let transport = dual(&url).await;
        everything(&client(&transport, "t"), ["p1", "p2"]).await;
        assert_eq!(transport.metrics().fallbacks, UNDELIVERABLE);
        transport.close().await.unwrap();
    });
    peers.into_iter().for_each(Peer::stop);
}

#[test]
fn a_client_that_finds_out_reaches_servers_of_either_dialect() {
    let url = Broker::shared().vhost("auto-either");
    let peers = [new_server(&url, "t", "k"), old_server(&url, "t", "p")];
    run(async {
        let transport = dual(&url).await;
        let client = client(&transport, "t");
        everything(&client, ["k", "p"]).await;
        // One call, one cast, and one or more calls for the notes.
        assert!(
            transport.metrics().fallbacks >= UNDELIVERABLE + 3,
            "all that name the server of today"
        );
        let before = transport.metrics().fallbacks;
        for _ in 0..20 {
            assert_eq!(
                who(&client).await,
                "p",
                "a request without a server name goes to the pika server"
            );
        }
        assert_eq!(transport.metrics().fallbacks, before);
        transport.close().await.unwrap();
    });
    peers.into_iter().for_each(Peer::stop);
}

/// Sends calls, errors, casts and fanouts; each server receives each message once.
async fn everything(client: &RpcClient, servers: [&str; 2]) {
    for number in 0..20 {
        assert_eq!(echo(client, json!(number)).await, number);
    }
    assert!(servers.contains(&who(client).await.as_str()));
    let context = Context::new().with("user", "álice").with("n", json!({"a": [1, null]}));
    let once = client.prepare().with_retry(Retry::Never);
    let seen: Value = once.call(&context, "ctxt", &()).await.unwrap();
    assert_eq!((&seen["user"], &seen["n"]), (&json!("álice"), &json!({"a": [1, null]})));
    let boom = client.call::<()>((), "boom", &()).await.unwrap_err();
    let boom = boom.remote().unwrap().clone();
    assert_eq!((boom.class(), boom.module()), ("ValueError", "builtins"));
    assert_eq!(boom.message(), "('bad value', 42)");
    let absent = client.call::<()>((), "absent", &()).await.unwrap_err();
    assert_eq!(absent.remote().unwrap().class(), "NoSuchMethod");
    let all_servers = client.prepare().with_fanout(true);
    let mut expected = Vec::new();
    for number in 10..30 {
        all_servers.cast((), "note", &json!({ "arg": number })).await.unwrap();
        expected.push(json!(number));
    }
    for server in servers {
        let one = client.prepare().with_server(server);
        assert_eq!(who(&one).await, server);
        one.cast((), "note", &json!({"arg": 99})).await.unwrap();
    }
    expected.push(json!(99));
    for server in servers {
        noted(client, server, &expected).await;
    }
    absent_server(client).await;
}

/// Number of requests to a server that does not exist.
const UNDELIVERABLE: u64 = 4;

async fn absent_server(client: &RpcClient) {
    let absent = client.prepare().with_server("nobody");
    let mandatory = absent.prepare().with_at_least_once(true);
    for result in [mandatory.call::<()>((), "x", &()).await, mandatory.cast((), "x", &()).await] {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::MessageUndeliverable, "{error}");
    }
    absent.cast((), "x", &()).await.expect("dropped without an error, as in oslo");
    let short = absent.with_timeout(Duration::from_millis(300));
    let error = short.call::<()>((), "x", &()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MessagingTimeout, "{error}");
}

#[test]
fn a_client_follows_its_servers_from_dialect_to_dialect() {
    let url = Broker::shared().vhost("auto-follows");
    run(async {
        let (kombu, pika) = (connect(&url).await, connect(&format!("pika+{url}")).await);
        let auto = dual(&url).await;
        let client = client(&auto, "t");
        let notes = Notes::default();
        let today = server(&kombu, "t", "k", &notes).await;
        assert_eq!(who(&client).await, "k");
        for round in 0..3 {
            let former = server(&pika, "t", "p", &notes).await;
            while who(&client).await != "p" {}
            client.cast((), "note", &json!({ "arg": round })).await.unwrap();
            former.wait().await.unwrap();
            // The server's queues are deleted with it.
            assert_eq!(who(&client).await, "k");
            client.cast((), "note", &json!({ "arg": round })).await.unwrap();
        }
        let mut all = notes.wait_for(6);
        all.sort_by_key(ToString::to_string);
        assert_eq!(all, [0, 0, 1, 1, 2, 2]);
        assert!(auto.metrics().fallbacks >= 6);
        assert_eq!(auto.stats().reconnects, 0);
        assert_eq!(auto.metrics().calls.ended(), auto.metrics().calls.done);
        today.wait().await.unwrap();
    });
}
