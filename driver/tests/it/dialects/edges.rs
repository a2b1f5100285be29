//! Edge cases of two dialects: an exchange that both use, queues that disappear, a broker that is
//! lost between two queue names, options of one dialect that must not affect the other.

use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use leveret::{
    Context, DriverConfig, Endpoint, Error, ErrorKind, Failure, RpcServer, Serialization, Target,
    Transport,
};
use leveret_support::{Broker, Peer};
use serde_json::{Value, json};

use crate::dialects::both::{dual, new_client, new_server, who};
use crate::support::fixture::{
    Notes, builder, client, connect, echo, endpoint, eventually, run, server,
};
use crate::support::old_python::{ask, old_client, pika};

/// Starts a server on the given exchange.
async fn server_at(transport: &Transport, exchange: &str) -> Result<RpcServer, Error> {
    let target = Target::new("t").with_server("s").with_exchange(exchange);
    let builder = RpcServer::builder(transport, target);
    builder.endpoint(endpoint("s", &Notes::default())).start().await
}

#[test]
fn both_dialects_share_an_exchange_that_a_target_names() {
    let url = Broker::shared().vhost("named-exchange");
    run(async {
        let transport = dual(&url).await;
        let server = server_at(&transport, "nova").await.unwrap();
        let client = client(&transport, "t").with_exchange("nova");
        assert_eq!(echo(&client, json!("ours")).await, "ours");
        let peers = url.clone();
        tokio::task::spawn_blocking(move || {
            for mut python in [new_client(&peers), old_client(&peers, "")] {
                for retry in [json!(null), json!(0)] {
                    let more = json!({"exchange": "nova", "args": {"arg": "é"}, "retry": retry});
                    let answer = ask(&mut python, "call", ("t", "echo"), more);
                    assert_eq!(answer["result"], "é", "{answer}");
                }
                python.stop();
            }
        })
        .await
        .unwrap();
        // A transport of the former dialect alone uses the exchange as declared.
        let former = connect(&format!("pika+{url}")).await;
        let client = crate::support::fixture::client(&former, "t").with_exchange("nova");
        assert_eq!(echo(&client, json!("ours")).await, "ours");
        let served = transport.metrics().served;
        assert_eq!((served.of_both, served.of_kombu, served.of_pika), (1, 2, 3));
        let last = server_at(&former, "nova").await.unwrap();
        server.wait().await.unwrap();
        assert_eq!(echo(&client, json!("theirs")).await, "theirs");
        assert_eq!(former.metrics().served.of_pika, 1);
        last.wait().await.unwrap();
        former.close().await.unwrap();
        transport.close().await.unwrap();
    });
}

/// If the former driver declared the exchange, its type is `direct`.
#[test]
fn an_exchange_of_the_former_driver_is_refused_by_name() {
    let url = Broker::shared().vhost("direct-exchange");
    let pika_url = pika(&url);
    let arguments = ["--url", &pika_url, "--topic", "t", "--server", "p"];
    let more = ["--target-exchange", "nova"];
    let peer = Peer::spawn_pika("rpc_server.py", &[&arguments[..], &more].concat());
    run(async {
        let transport = dual(&url).await;
        let error = server_at(&transport, "nova").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ServerListenError, "{error}");
        assert!(error.to_string().contains("`type` differs"), "{error}");
        let client = client(&transport, "t").with_exchange("nova");
        let error = client.call::<Value>((), "echo", &()).await.unwrap_err();
        assert!(error.to_string().contains("`type` differs"), "{error}");
        // A transport of the former dialect alone works with it.
        let pika = connect(&format!("pika+{url}")).await;
        let client = crate::support::fixture::client(&pika, "t").with_exchange("nova");
        assert_eq!(echo(&client, json!("é")).await, "é");
        let server = server_at(&pika, "nova").await.unwrap();
        server.wait().await.unwrap();
        pika.close().await.unwrap();
        transport.close().await.unwrap();
    });
    peer.stop();
}

#[test]
fn answers_come_through_the_exchange_of_another_control_exchange() {
    let url = Broker::shared().vhost("reply-exchange");
    let pika_url = pika(&url);
    let arguments = ["--url", &pika_url, "--topic", "t", "--server", "p", "--exchange", "nova"];
    let more = ["--target-exchange", "nova"];
    let peer = Peer::spawn_pika("rpc_server.py", &[&arguments[..], &more].concat());
    run(async {
        let transport = connect(&format!("pika+{url}")).await;
        // The transport's control exchange is `openstack`, and the first call opens its reply queue
        // for that.
        let own = server(&transport, "here", "own", &Notes::default()).await;
        assert_eq!(who(&client(&transport, "here")).await, "own");
        let client = client(&transport, "t").with_exchange("nova");
        assert_eq!(who(&client).await, "p");
        own.wait().await.unwrap();
        transport.close().await.unwrap();
    });
    peer.stop();
}

/// Starts a server whose only thread blocks in a method; `notes` records its casts.
async fn blocked_server(url: &str, notes: &Notes) -> (RpcServer, Sender<()>) {
    let config = DriverConfig::default().with_executor_threads(1);
    let transport = builder(url, config).connect().await.unwrap();
    let ((begin, begun), (release, released)) = (channel(), channel::<()>());
    let released = Mutex::new(released);
    let hold = Endpoint::new().method("hold", move |_: Context, (): ()| {
        begin.send(()).unwrap();
        let _ = released.lock().unwrap().recv();
        Ok::<_, Failure>(())
    });
    let target = Target::new("t").with_server("s");
    let builder = RpcServer::builder(&transport, target).endpoint(hold);
    let server = builder.endpoint(endpoint("s", notes)).start().await.unwrap();
    client(&transport, "t").cast((), "hold", &()).await.unwrap();
    tokio::task::block_in_place(|| begun.recv().unwrap());
    (server, release)
}

fn pika_queues(url: &str) -> Vec<String> {
    let queues = Broker::shared().queues_of(url).into_iter().map(|queue| queue.name);
    queues.filter(|name| name.starts_with("with_ack.") || name.starts_with("no_ack.")).collect()
}

#[test]
fn the_last_server_takes_its_queues_along_and_serves_what_was_in_them() {
    for dialect in ["pika", "dual"] {
        let url = Broker::shared().vhost("last-server");
        run(async {
            let notes = Notes::default();
            let (server, release) = blocked_server(&format!("{dialect}+{url}"), &notes).await;
            assert_eq!(pika_queues(&url).len(), 6);
            let peer = url.clone();
            tokio::task::spawn_blocking(move || {
                let mut python = old_client(&peer, "");
                for server in [json!({}), json!({"server": "s"})] {
                    let mut many = json!({"args": {"arg": 1}, "count": 700, "threads": 5});
                    many.as_object_mut().unwrap().extend(server.as_object().unwrap().clone());
                    let answer = ask(&mut python, "cast", ("t", "note"), many);
                    assert_eq!(answer["done"], 700, "{answer}");
                }
                python.stop();
            })
            .await
            .unwrap();
            let (ended, ()) = tokio::join!(server.wait(), async { release.send(()).unwrap() });
            ended.unwrap();
            assert_eq!(notes.all().len(), 1400);
            assert_eq!(pika_queues(&url), [""; 0]);
        });
    }
}

#[test]
fn a_server_leaves_the_queues_that_another_one_needs() {
    let url = Broker::shared().vhost("not-last");
    run(async {
        let transport = dual(&url).await;
        let first = server(&transport, "t", "s1", &Notes::default()).await;
        let second = server(&transport, "t", "s2", &Notes::default()).await;
        assert_eq!(pika_queues(&url).len(), 10);
        first.wait().await.unwrap();
        let left = pika_queues(&url);
        assert_eq!(left.len(), 6, "{left:?}");
        for name in ["no_ack.t", "with_ack.t", "no_ack.t.s2", "with_ack.t.s2"] {
            assert!(left.iter().any(|queue| queue == name), "{name} among {left:?}");
        }
        let client = client(&transport, "t");
        assert_eq!(who(&client).await, "s2");
        // A request to the stopped server goes to its queue of the current dialect, as in oslo.
        let gone = client.prepare().with_server("s1").with_timeout(Duration::from_millis(300));
        assert!(gone.call::<()>((), "none", &()).await.unwrap_err().is_timeout());
        second.wait().await.unwrap();
        assert_eq!(pika_queues(&url), [""; 0]);
    });
}

/// The last server was killed, so its queues stay until they expire.
#[test]
fn an_abandoned_queue_is_left_as_soon_as_it_is_gone() {
    let url = Broker::shared().vhost("abandoned");
    let today = new_server(&url, "t", "k");
    let pika_url = pika(&url);
    let arguments = ["--url", &pika_url, "--topic", "t", "--server", "p"];
    let more = ["--option", "rpc_queue_expiration=2"];
    let mut former = Peer::spawn_pika("rpc_server.py", &[&arguments[..], &more].concat());
    run(async {
        let transport = dual(&url).await;
        let client = client(&transport, "t").with_timeout(Duration::from_secs(1));
        assert_eq!(who(&client).await, "p");
        former.kill();
        let mut answers = 0;
        while answers < 3 {
            match client.call::<Value>((), "whoami", &()).await {
                Ok(who) => {
                    assert_eq!(who["server"], "k");
                    answers += 1;
                }
                Err(error) => assert!(error.is_timeout() && answers == 0, "{error}"),
            }
        }
        assert_eq!(transport.stats().reconnects, 0);
    });
    today.stop();
}

#[test]
fn a_lost_connection_doubles_nothing_and_loses_nothing() {
    let broker = Broker::start();
    let url = broker.url_of("%2F");
    run(async {
        let (serving, sending) = (dual(&url).await, dual(&url).await);
        let notes = Notes::default();
        let server = server(&serving, "t", "s", &notes).await;
        let client = client(&sending, "t").with_timeout(Duration::from_secs(60));
        let casts = async {
            for number in 0..2000 {
                client.cast((), "note", &json!({ "arg": number })).await.unwrap();
            }
        };
        let losses = async {
            for lost in 1..=3_u64 {
                while notes.all().len() < lost as usize * 400 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                tokio::task::block_in_place(|| broker.close_connections("for a test"));
            }
        };
        tokio::join!(casts, losses);
        let mut all = notes.wait_for(2000);
        all.sort_by_key(Value::as_i64);
        assert_eq!(all, (0..2000).map(Value::from).collect::<Vec<_>>());
        assert!(sending.stats().reconnects > 0);
        server.wait().await.unwrap();
    });
}

#[test]
fn a_fanout_through_a_stream_and_queues_is_executed_once() {
    let url = Broker::shared().vhost("dual-stream");
    let query = "rabbit_stream_fanout=true&rabbit_transient_quorum_queue=true\
                 &rabbit_qos_prefetch_count=10";
    run(async {
        let transport = dual(&format!("{url}?{query}")).await;
        let notes = Notes::default();
        let server = server(&transport, "t", "s", &notes).await;
        let all_servers = client(&transport, "t").with_fanout(true);
        for number in 0..20 {
            all_servers.cast((), "note", &json!({ "arg": number })).await.unwrap();
        }
        eventually(|| server.stats().duplicates == 20);
        let mut all = notes.all();
        all.sort_by_key(Value::as_i64);
        assert_eq!(all, (0..20).map(Value::from).collect::<Vec<_>>());
        server.wait().await.unwrap();
    });
}

#[test]
fn compression_is_of_todays_dialect_alone() {
    let url = Broker::shared().vhost("dual-gzip");
    run(async {
        let packing = format!("{url}?kombu_compression=gzip&dialect_serving=both");
        let transport = connect(&packing).await;
        let server = server(&transport, "t", "s", &Notes::default()).await;
        let large = json!("é".repeat(10_000));
        assert_eq!(echo(&client(&transport, "t"), large.clone()).await, large);
        let (peers, sent) = (url.clone(), large.clone());
        tokio::task::spawn_blocking(move || {
            for mut python in [new_client(&peers), old_client(&peers, "")] {
                let answer =
                    ask(&mut python, "call", ("t", "echo"), json!({"args": {"arg": sent}}));
                assert_eq!(answer["result"], sent);
                python.stop();
            }
        })
        .await
        .unwrap();
        server.wait().await.unwrap();
        transport.close().await.unwrap();
        // A message for both dialects cannot be compressed, and the transport says so.
        let url = format!("{url}?kombu_compression=gzip&dialect_sending=auto");
        let error = Transport::connect(&url).await.unwrap_err();
        assert!(error.to_string().contains("kombu_compression"), "{error}");
    });
}

/// Servers of the current dialect read JSON only.
#[test]
fn what_both_are_to_read_is_never_msgpack() {
    let url = Broker::shared().vhost("dual-msgpack");
    run(async {
        let transport = dual(&url).await;
        let packing = client(&transport, "t").with_serialization(Serialization::MsgPack);
        let error = packing.call::<Value>((), "echo", &()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        let url = format!("{url}?default_serializer_type=msgpack&dialect_sending=auto");
        let error = Transport::connect(&url).await.unwrap_err();
        assert!(error.to_string().contains("default_serializer_type"), "{error}");
    });
}

/// The former driver uses an existing queue; it would declare a different one.
#[test]
fn a_listener_to_both_has_todays_queues() {
    let url = Broker::shared().vhost("dual-durable");
    run(async {
        let transport = dual(&format!("{url}?amqp_durable_queues=true")).await;
        let notes = Notes::default();
        let endpoint = {
            let notes = notes.clone();
            leveret::NotificationEndpoint::new()
                .info(move |one: leveret::Notification| notes.add(one.payload))
        };
        let target = Target::new("n");
        let builder = leveret::NotificationListener::builder(&transport, target);
        let listener = builder.endpoint(endpoint).start().await.unwrap();
        let peers = url.clone();
        tokio::task::spawn_blocking(move || {
            let option = ["--option", "amqp_durable_queues=true"];
            let new = Peer::spawn("notifier.py", &[&["--url", &peers], &option[..]].concat());
            let old = Peer::spawn_pika("notifier.py", &["--url", &pika(&peers)]);
            for (mut notifier, payload) in [(new, "new"), (old, "old")] {
                let one = json!({
                    "priority": "info", "event_type": "e", "payload": payload, "topics": ["n"],
                });
                assert_eq!(notifier.ask(&one.to_string()), "{}");
                notifier.stop();
            }
        })
        .await
        .unwrap();
        assert_eq!(notes.wait_for(2), ["new", "old"]);
        listener.wait().await.unwrap();
    });
}
