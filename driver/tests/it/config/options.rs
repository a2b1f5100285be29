//! Options that change the wire format, each with a Python peer that has the same option.

use leveret::engine::Consume;
use leveret::{Notifier, RpcServer, Transport};
use leveret_support::{Broker, Peer};
use serde_json::{Value, json};

use crate::support::fixture::{Notes, client, connect, echo, eventually, run, server};
use crate::support::raw::raw;

/// Starts a Python client or server with these options, each `NAME=VALUE`.
fn python(script: &str, url: &str, options: &[&str], more: &[&str]) -> Peer {
    let mut arguments = vec!["--url", url];
    for option in options {
        arguments.extend(["--option", option]);
    }
    arguments.extend(more);
    Peer::spawn(script, &arguments)
}

fn ask(python: &mut Peer, command: &Value) -> Value {
    serde_json::from_str(&python.ask(&command.to_string())).unwrap()
}

/// Starts a Leveret server on topic `ours`; returns it with its transport, which has these options
/// in its URL.
async fn ours(url: &str, options: &str, notes: &Notes) -> (Transport, RpcServer) {
    let transport = connect(&format!("{url}?{options}")).await;
    let server = server(&transport, "ours", "s", notes).await;
    (transport, server)
}

#[test]
fn what_is_sent_is_compressed() {
    let url = Broker::shared().vhost("packed");
    let vhost = url.rsplit('/').next().unwrap().to_owned();
    run(async {
        let (transport, server) = ours(&url, "kombu_compression=gzip", &Notes::default()).await;
        server.wait().await.unwrap();
        client(&transport, "ours").cast((), "note", &json!({"arg": 1})).await.unwrap();
        let (_engine, channel) = raw(Broker::shared().port(), &vhost).await;
        let mut consumer = channel.consume(Consume::from_queue("ours")).await.unwrap();
        let delivery = consumer.next().await.unwrap().unwrap();
        assert!(delivery.body().contiguous().starts_with(b"\x78\x9c"), "{delivery:?}");
        let headers = delivery.properties().headers.unwrap();
        assert_eq!(headers.get("compression").unwrap().as_str(), Some("application/x-gzip"));
    });
}

#[test]
fn compressed_messages_pass_both_ways() {
    let url = Broker::shared().vhost("compressed");
    let large = "é\"".repeat(20_000);
    let compression = "kombu_compression=gzip";
    run(async {
        let notes = Notes::default();
        let (transport, server) = ours(&url, compression, &notes).await;
        let (url, large) = (url.clone(), large.clone());
        let seen = notes.clone();
        let theirs = tokio::task::spawn_blocking(move || {
            let mut client = python("rpc_client.py", &url, &[compression], &[]);
            let args = json!({"arg": large});
            let call = json!({"op": "call", "topic": "ours", "method": "echo", "args": args});
            assert_eq!(ask(&mut client, &call)["result"], large);
            let args = json!({"arg": "noted"});
            for op in ["cast", "fanout"] {
                let cast = json!({"op": op, "topic": "ours", "method": "note", "args": args});
                assert_eq!(ask(&mut client, &cast)["result"], Value::Null);
            }
            seen.wait_for(2);
            client.stop();
            let names = ["--topic", "theirs", "--server", "s"];
            python("rpc_server.py", &url, &[compression], &names)
        });
        let theirs = theirs.await.unwrap();
        let large = "é\"".repeat(20_000);
        for topic in ["theirs", "ours"] {
            let client = client(&transport, topic);
            assert_eq!(echo(&client, json!(large)).await, json!(large), "{topic}");
            let error = client.call::<()>((), "boom", &()).await.unwrap_err();
            assert_eq!(error.remote().unwrap().class(), "ValueError", "{topic}");
            client.cast((), "note", &json!({"arg": "cast"})).await.unwrap();
            client.cast_buffered((), "note", &json!({"arg": "cast"})).await.unwrap();
        }
        server.wait().await.unwrap();
        assert_eq!(server.stats().undecodable, 0);
        transport.close().await.unwrap();
        drop(theirs);
    });
}

fn sorted(mut notes: Vec<Value>) -> Vec<Value> {
    notes.sort_by_key(Value::as_i64);
    notes
}

#[test]
fn fanouts_go_through_one_stream() {
    let url = Broker::shared().vhost("stream");
    let options = [
        "rabbit_stream_fanout=true",
        "rabbit_transient_quorum_queue=true",
        "rabbit_qos_prefetch_count=10",
    ];
    let names = ["--topic", "ours", "--server", "theirs"];
    let theirs = python("rpc_server.py", &url, &options, &names);
    let mut python = python("rpc_client.py", &url, &options, &[]);
    run(async {
        let notes = Notes::default();
        let (transport, server) = ours(&url, &options.join("&"), &notes).await;
        let fanout = client(&transport, "ours").with_fanout(true);
        tokio::task::block_in_place(|| {
            let args = json!({"arg": 1});
            let cast = json!({"op": "fanout", "topic": "ours", "method": "note", "args": args});
            assert_eq!(ask(&mut python, &cast)["result"], Value::Null);
            notes.wait_for(1);
        });
        fanout.cast((), "note", &json!({"arg": 2})).await.unwrap();
        tokio::task::block_in_place(|| notes.wait_for(2));
        let vhost = url.rsplit('/').next().unwrap();
        tokio::task::block_in_place(|| {
            Broker::shared().ctl(&["close_all_connections", "--vhost", vhost, "on purpose"]);
            eventually(|| server.stats().reconnects == 1);
        });
        for arg in [3, 4] {
            fanout.cast((), "note", &json!({ "arg": arg })).await.unwrap();
        }
        // Several threads execute them, so the test compares sorted notes.
        let all = sorted(tokio::task::block_in_place(|| notes.wait_for(4)));
        assert_eq!(all, [1, 2, 3, 4], "each once, although the stream still has all of them");
        server.wait().await.unwrap();
        transport.close().await.unwrap();
    });
    let noted = json!({"op": "call", "topic": "ours", "server": "theirs", "method": "noted"});
    eventually(|| {
        let all = ask(&mut python, &noted)["result"].as_array().cloned().unwrap();
        sorted(all) == [1, 2, 3, 4]
    });
    let stream = Broker::shared().queues_of(&url).into_iter().find(|it| it.name == "ours_fanout");
    assert!(stream.is_some(), "the stream stays for the other servers");
    drop(theirs);
}

#[test]
fn an_oversized_fanout_of_a_stream_is_counted_and_the_next_one_is_served() {
    let url = Broker::shared().vhost("stream-oversized");
    run(async {
        let options = [
            "rabbit_stream_fanout=true",
            "rabbit_transient_quorum_queue=true",
            "rabbit_qos_prefetch_count=10",
        ];
        let options = options.join("&");
        let notes = Notes::default();
        let (serving, server) = ours(&url, &format!("{options}&body_max=100000"), &notes).await;
        let sending = connect(&format!("{url}?{options}")).await;
        let fanout = client(&sending, "ours").with_fanout(true);
        fanout.cast((), "note", &json!({"arg": "x".repeat(200_000)})).await.unwrap();
        fanout.cast((), "note", &json!({"arg": 2})).await.unwrap();
        assert_eq!(tokio::task::block_in_place(|| notes.wait_for(1)), [2]);
        assert_eq!(server.stats().undecodable, 1);
        server.wait().await.unwrap();
        serving.close().await.unwrap();
        sending.close().await.unwrap();
    });
}

#[test]
fn queues_are_numbered_together_with_python() {
    let url = Broker::shared().vhost("named");
    let folder = tempfile::tempdir().unwrap();
    let locks = folder.path().to_str().unwrap().to_owned();
    // The name of the counter's file contains both; each test needs its own.
    let host = format!("host{}", std::process::id());
    let options = ["use_queue_manager=true", &format!("hostname={host}"), "processname=it"];
    let lock = ["--lock-path", &locks];
    let names = ["--topic", "theirs", "--server", "s", "--lock-path", &locks];
    let server = python("rpc_server.py", &url, &options, &names); // draws 1
    let mut client = python("rpc_client.py", &url, &options, &lock);
    run(async {
        let options = format!("{}&lock_path={locks}", options.join("&"));
        let (transport, server) = ours(&url, &options, &Notes::default()).await; // draws 2
        let call = json!({"op": "call", "topic": "ours", "method": "none"});
        assert_eq!(ask(&mut client, &call)["result"], Value::Null); // draws 3
        let ours = crate::support::fixture::client(&transport, "theirs");
        assert_eq!(echo(&ours, json!(1)).await, 1); // draws 4
        server.wait().await.unwrap();
        let expected = ["theirs_fanout_@:1", "ours_fanout_@:2", "reply_@:3", "reply_@:4"];
        let queues = Broker::shared().queues_of(&url);
        for name in expected.map(|name| name.replace('@', &format!("{host}:it"))) {
            assert!(queues.iter().any(|queue| queue.name == name), "{name}: {queues:?}");
        }
        transport.close().await.unwrap();
    });
    drop(server);
    std::fs::remove_file(format!("/dev/shm/{host}_it_qmanager")).unwrap();
}

/// A Leveret server beside Python's on the same queues: the broker refuses a different flag or
/// argument (406).
#[test]
fn python_declares_the_same() {
    let quorum = [
        "rabbit_quorum_queue=true",
        "rabbit_transient_quorum_queue=true",
        "rabbit_quorum_delivery_limit=5",
        "rabbit_quorum_max_memory_length=1000",
        "rabbit_quorum_max_memory_bytes=1000000",
        "rabbit_transient_queues_ttl=60",
    ];
    let mirrored = ["rabbit_ha_queues=true", "enable_cancel_on_failover=true"];
    let short_lived = ["amqp_durable_queues=true", "amqp_auto_delete=true"];
    let sets: [(&str, &[&str]); 3] =
        [("quorum", &quorum), ("mirrored", &mirrored), ("short-lived", &short_lived)];
    for (name, options) in sets {
        let url = Broker::shared().vhost(name);
        let names = ["--topic", "ours", "--server", "theirs"];
        let theirs = python("rpc_server.py", &url, options, &names);
        run(async {
            let (transport, server) = ours(&url, &options.join("&"), &Notes::default()).await;
            for name in ["s", "theirs"] {
                let one = client(&transport, "ours").with_server(name);
                assert_eq!(echo(&one, json!(name)).await, name, "{options:?}");
            }
            server.wait().await.unwrap();
            transport.close().await.unwrap();
        });
        drop(theirs);
    }
}

/// The last listener to one priority has stopped and its queue is deleted; the exchange stays,
/// because other queues are bound to it.
#[test]
fn an_auto_deleted_queue_is_made_again_for_what_is_sent_there() {
    let url = Broker::shared().vhost("auto-deleted");
    let vhost = url.rsplit('/').next().unwrap().to_owned();
    run(async {
        let transport = connect(&format!("{url}?amqp_auto_delete=true")).await;
        let notifier = Notifier::builder(&transport).publisher_id("p").topic("t").build();
        notifier.info((), "first", &1).await.unwrap();
        notifier.error((), "other", &1).await.unwrap();
        let (_engine, channel) = raw(Broker::shared().port(), &vhost).await;
        let consumer = channel.consume(Consume::from_queue("t.info")).await.unwrap();
        consumer.cancel().await.unwrap();
        let messages_in = |name: &str| {
            let queues = Broker::shared().queues_of(&url);
            queues.iter().find(|queue| queue.name == name).map(|queue| queue.messages)
        };
        eventually(|| messages_in("t.info").is_none());
        notifier.info((), "second", &2).await.unwrap();
        eventually(|| messages_in("t.info") == Some(1));
        assert_eq!(messages_in("t.error"), Some(1));
        transport.close().await.unwrap();
    });
}
