//! Clients of Python's former `pika` driver, and a Leveret server of that dialect or of both.

use std::time::Duration;

use leveret_support::{Broker, Peer};
use serde_json::{Value, json};

use crate::support::fixture::{Notes, connect, eventually, run, server};
use crate::support::old_python::{ask, old_client};

/// Serves `tópic` in a dialect, and runs `work` with old clients of both serializations.
fn serve(dialect: &str, work: impl Fn(&mut Peer, &[Notes; 2]) + Send + Copy + 'static) {
    let url = Broker::shared().vhost("pika-client");
    run(async {
        let transport = connect(&format!("{dialect}+{url}")).await;
        let notes = [Notes::default(), Notes::default()];
        let first = server(&transport, "tópic", "sérver", &notes[0]).await;
        let second = server(&transport, "tópic", "other", &notes[1]).await;
        let clients = url.clone();
        tokio::task::spawn_blocking(move || {
            for query in ["", "?default_serializer_type=msgpack"] {
                let mut python = old_client(&clients, query);
                work(&mut python, &notes);
                python.stop();
            }
        })
        .await
        .unwrap();
        let served = transport.metrics().served;
        assert_eq!((served.undecodable, served.duplicates), (0, 0), "{served:?}");
        assert_eq!((served.of_kombu, served.of_both), (0, 0), "{served:?}");
        assert_eq!(served.of_pika, served.done);
        assert_eq!(transport.stats().replies_dropped, 0);
        eventually(|| Broker::shared().queues_of(&url).iter().all(|queue| queue.messages == 0));
        first.wait().await.unwrap();
        second.wait().await.unwrap();
        transport.close().await.unwrap();
    });
}

fn call(python: &mut Peer, method: &str, more: Value) -> Value {
    ask(python, "call", ("tópic", method), more)
}

#[test]
fn an_old_clients_calls_are_answered() {
    serve("pika", |python, _| calls(python));
}

#[test]
fn an_old_clients_calls_are_answered_by_a_server_of_both() {
    serve("dual", |python, _| calls(python));
}

fn calls(python: &mut Peer) {
    for value in [
        json!({"x": "hé", "l": [1, 2.5, null, true, -7]}),
        json!("\u{0}\u{7f}\u{2028}😀 \" \\ / \n"),
        json!({}),
        json!([]),
    ] {
        for retry in [json!(null), json!(0), json!(2)] {
            let more = json!({"args": {"arg": value}, "retry": retry});
            let answer = call(python, "echo", more);
            assert_eq!(answer["result"], value, "{answer}");
        }
    }
    assert_eq!(call(python, "add", json!({"args": {"a": 2, "b": 3}}))["result"], 5);
    assert_eq!(call(python, "none", json!({}))["result"], Value::Null);
    for (name, retry) in [("sérver", json!(null)), ("other", json!(0)), ("other", json!(2))] {
        let answer = call(python, "whoami", json!({"server": name, "retry": retry}));
        assert_eq!(answer["result"], name, "{answer}");
    }
    let versioned = json!({"namespace": "ns1", "version": "1.2", "server": "other"});
    assert_eq!(call(python, "whoami", versioned)["result"], "other");
    let context = json!({"ctxt": {"user": "álice", "n": 5, "nested": {"a": [1, null]}}});
    let answer = call(python, "ctxt", context.clone());
    assert_eq!(answer["result"], context["ctxt"], "{answer}");
    let large = "é".repeat(1_000_000);
    let answer = call(python, "echo", json!({"args": {"arg": large}}));
    assert_eq!(answer["result"], Value::from(large), "a large argument");
    let many = json!({"args": {"arg": 1}, "count": 100, "threads": 5});
    let answer = call(python, "echo", many);
    assert_eq!((&answer["done"], &answer["errors"]), (&json!(100), &json!(0)), "{answer}");
}

#[test]
fn an_old_client_is_told_what_was_raised() {
    serve("pika", |python, _| errors(python));
}

#[test]
fn an_old_client_is_told_what_was_raised_by_a_server_of_both() {
    serve("dual", |python, _| errors(python));
}

fn errors(python: &mut Peer) {
    let answer = call(python, "boom", json!({}));
    assert_eq!(answer["error"]["class"], "ValueError", "raised again: {answer}");
    assert!(answer["error"]["text"].as_str().unwrap().contains("('bad value', 42)"), "{answer}");
    for (method, more, class) in [
        ("absent", json!({}), "NoSuchMethod"),
        ("echo", json!({"version": "1.9"}), "UnsupportedVersion"),
        ("echo", json!({"namespace": "ns2"}), "UnsupportedVersion"),
    ] {
        let answer = call(python, method, more);
        assert_eq!(answer["error"]["class"], "RemoteError", "{answer}");
        assert_eq!(answer["error"]["exc_type"], class, "{answer}");
    }
    assert_eq!(call(python, "panic", json!({}))["error"]["class"], "RuntimeError");
    let answer = call(python, "add", json!({"args": {"a": 1}, "retry": 0}));
    assert_eq!(answer["error"]["class"], "TypeError", "{answer}");
}

#[test]
fn an_old_clients_casts_arrive() {
    serve("pika", casts);
}

#[test]
fn an_old_clients_casts_arrive_at_a_server_of_both() {
    serve("dual", casts);
}

fn casts(python: &mut Peer, [first, second]: &[Notes; 2]) {
    let before = [first.all().len(), second.all().len()];
    for retry in [json!(null), json!(0), json!(2)] {
        for (op, server) in [("cast", "other"), ("fanout", "")] {
            let mut more = json!({"retry": retry, "args": {"arg": [op, retry]}});
            if op == "cast" {
                more["server"] = server.into();
            }
            let answer = ask(python, op, ("tópic", "note"), more);
            assert_eq!(answer["result"], Value::Null, "{answer}");
            assert!(answer.get("error").is_none(), "{answer}");
        }
    }
    let [first, second] = [&first.wait_for(before[0] + 3), &second.wait_for(before[1] + 6)];
    for retry in [json!(null), json!(0), json!(2)] {
        let count = |notes: &[Value], op| notes.iter().filter(|one| **one == op).count();
        let (cast, fanout) = (json!(["cast", retry]), json!(["fanout", retry]));
        assert_eq!(count(&first[before[0]..], cast.clone()), 0);
        assert_eq!(count(&second[before[1]..], cast), 1);
        assert_eq!(count(&first[before[0]..], fanout.clone()), 1, "once to each server");
        assert_eq!(count(&second[before[1]..], fanout), 1, "once to each server");
    }
}

#[test]
fn an_old_client_of_nobody_hears_so() {
    let url = Broker::shared().vhost("pika-nobody");
    run(async {
        let transport = connect(&format!("dual+{url}")).await;
        let server = server(&transport, "t", "s", &Notes::default()).await;
        tokio::task::spawn_blocking(move || {
            let mut python = old_client(&url, "");
            for (op, retry, class) in [
                ("call", json!(0), "RoutingException"),
                ("cast", json!(0), "RoutingException"),
                ("call", json!(2), "RetryError"),
                ("cast", json!(2), "RetryError"),
                ("call", json!(null), "MessagingTimeout"),
            ] {
                let more = json!({"retry": retry, "timeout": 1});
                let answer = ask(&mut python, op, ("nobody", "none"), more);
                assert_eq!(answer["error"]["class"], class, "{op} {retry}: {answer}");
            }
            let more = json!({"args": {"seconds": 1}, "timeout": 0.2});
            let answer = ask(&mut python, "call", ("t", "slow"), more);
            assert_eq!(answer["error"]["class"], "MessagingTimeout", "{answer}");
            python.stop();
        })
        .await
        .unwrap();
        // The server drops requests whose callers have timed out, and continues.
        eventually(|| transport.stats().replies_dropped == 1);
        server.wait_within(Duration::from_secs(30)).await.unwrap();
        transport.close().await.unwrap();
    });
}
