//! A Python client and a Leveret server: requests and replies between them.

use leveret::Executor;
use leveret_support::{Authority, Broker, Peer};
use serde_json::{Value, json};

use crate::support::fixture::{Notes, connect, eventually, run, server, server_on};
use crate::support::tls;

/// Sends one operation on topic `tópic` through the peer; returns its answer.
fn ask(python: &mut Peer, op: &str, method: &str, more: Value) -> Value {
    let mut command = json!({"op": op, "topic": "tópic", "method": method});
    for (key, value) in more.as_object().into_iter().flatten() {
        command[key] = value.clone();
    }
    serde_json::from_str(&python.ask(&command.to_string())).unwrap()
}

#[test]
fn we_answer_a_python_client() {
    answer(&Broker::shared().vhost("python-client"));
}

#[test]
fn we_answer_a_python_client_over_tls() {
    let authority = Authority::new();
    answer(&tls::url(&authority, "python-client-tls"));
}

fn answer(url: &str) {
    run(async {
        let transport = connect(url).await;
        let notes = Notes::default();
        let server = server(&transport, "tópic", "sérver", &notes).await;
        let url = url.to_owned();
        let seen = notes.clone();
        tokio::task::spawn_blocking(move || {
            let mut python = Peer::spawn("rpc_client.py", &["--url", &url]);
            calls(&mut python);
            errors(&mut python);
            casts(&mut python, &seen);
            python.stop();
        })
        .await
        .unwrap();
        server.wait().await.unwrap();
        transport.close().await.unwrap();
    });
}

fn calls(python: &mut Peer) {
    for value in [
        json!({"x": "hé", "l": [1, 2.5, null]}),
        json!("\u{0}\u{7f}\u{2028}😀 \" \\ / \n"),
        serde_json::from_str("[123456789012345678901234567890]").unwrap(),
    ] {
        let answer = ask(python, "call", "echo", json!({"args": {"arg": value}}));
        assert_eq!(answer["result"], value, "{answer}");
    }
    assert_eq!(ask(python, "call", "add", json!({"args": {"a": 2, "b": 3}}))["result"], 5);
    assert_eq!(ask(python, "call", "none", json!({}))["result"], Value::Null);
    let answer = ask(python, "call", "whoami", json!({"server": "sérver"}));
    assert_eq!(answer["result"], "sérver");
    let versioned = json!({"namespace": "ns1", "version": "1.2"});
    assert_eq!(ask(python, "call", "whoami", versioned)["result"], "sérver");
    let context = json!({"ctxt": {"user": "álice", "n": 5, "nested": {"a": [1, null]}}});
    let answer = ask(python, "call", "ctxt", context.clone());
    assert_eq!(answer["result"], context["ctxt"], "the context, without client_timeout");
    let large = "x".repeat(5_000_000);
    let answer = ask(python, "call", "echo", json!({"args": {"arg": large}}));
    assert_eq!(answer["result"].as_str().unwrap().len(), 5_000_000);
    let monitored = json!({"args": {"seconds": 3}, "call_monitor_timeout": 2});
    let answer = ask(python, "call", "slow", monitored);
    assert_eq!(answer["result"], "done", "Python reads the heartbeats: {answer}");
}

fn errors(python: &mut Peer) {
    let answer = ask(python, "call", "boom", json!({}));
    assert_eq!(answer["error"]["class"], "ValueError", "{answer}");
    assert!(answer["error"]["text"].as_str().unwrap().contains("('bad value', 42)"), "{answer}");
    for (method, more, class) in [
        ("absent", json!({}), "NoSuchMethod"),
        ("echo", json!({"version": "1.9"}), "UnsupportedVersion"),
        ("echo", json!({"namespace": "ns2"}), "UnsupportedVersion"),
    ] {
        let answer = ask(python, "call", method, more);
        assert_eq!(answer["error"]["class"], "RemoteError", "{answer}");
        assert_eq!(answer["error"]["exc_type"], class, "{answer}");
    }
    assert_eq!(ask(python, "call", "panic", json!({}))["error"]["class"], "RuntimeError");
    let answer = ask(python, "call", "add", json!({"args": {"a": 1}}));
    assert_eq!(answer["error"]["class"], "TypeError", "{answer}");
    let answer = ask(python, "call", "slow", json!({"args": {"seconds": 1}, "timeout": 0.2}));
    assert_eq!(answer["error"]["class"], "MessagingTimeout", "{answer}");
}

fn casts(python: &mut Peer, notes: &Notes) {
    ask(python, "cast", "note", json!({"args": {"arg": "cast"}}));
    ask(python, "fanout", "note", json!({"args": {"arg": "fanout"}}));
    let all = notes.wait_for(2);
    assert!(all.contains(&json!("cast")) && all.contains(&json!("fanout")), "{all:?}");
}

#[test]
fn ten_thousand_python_calls_leave_nothing_behind() {
    let url = Broker::shared().vhost("python-many-client");
    run(async {
        let transport = connect(&url).await;
        let server =
            server_on(&transport, "tópic", "s", &Notes::default(), Executor::Threads).await;
        let peer = url.clone();
        tokio::task::spawn_blocking(move || {
            let mut python = Peer::spawn("rpc_client.py", &["--url", &peer]);
            // The calls run in two halves: one command must answer within a minute.
            for _ in 0..2 {
                let many = json!({"args": {"arg": 1}, "count": 5000, "threads": 5, "timeout": 30});
                let answer = ask(&mut python, "call", "echo", many);
                assert_eq!((&answer["done"], &answer["errors"]), (&json!(5000), &json!(0)));
            }
            python.stop();
        })
        .await
        .unwrap();
        assert_eq!(server.stats().dispatched, 10_000);
        assert_eq!((server.stats().duplicates, server.stats().undecodable), (0, 0));
        assert_eq!(transport.stats().replies_dropped, 0);
        eventually(|| Broker::shared().queues_of(&url).iter().all(|queue| queue.messages == 0));
        server.wait().await.unwrap();
        transport.close().await.unwrap();
    });
}
