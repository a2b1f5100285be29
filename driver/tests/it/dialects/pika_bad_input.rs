//! Invalid messages on the queues of the `pika` dialect: the server drops and counts them, answers
//! the caller with an error if the message names a reply queue, and continues.

use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use leveret::engine::{
    AMQPValue, Channel, Consume, Consumer, Delivery, Engine, ExchangeDeclare, FieldTable,
    Properties, QueueBind, QueueDeclare, Route,
};
use leveret::{
    Context, DriverConfig, Endpoint, Failure, Notification, NotificationEndpoint,
    NotificationListener, RpcServer, Target,
};
use leveret_support::Broker;
use serde_json::{Value, json};

use crate::support::fixture::{
    Notes, builder, client, connect, echo, endpoint, eventually, run, server,
};
use crate::support::raw::raw;

/// A raw peer without a driver, and its reply queue.
struct RawPeer {
    _engine: Engine,
    channel: Channel,
    replies: Consumer,
}

/// The reply queue is bound as in both dialects.
const REPLIES: &str = "reply_stranger";

impl RawPeer {
    async fn at(url: &str) -> Self {
        let vhost = url.rsplit('/').next().unwrap();
        let (engine, channel) = raw(Broker::shared().port(), vhost).await;
        let exchange = "openstack_rpc_reply";
        let declare = ExchangeDeclare {
            name: exchange.into(),
            kind: "direct".into(),
            auto_delete: true,
            ..ExchangeDeclare::default()
        };
        channel.declare_exchange(declare).await.unwrap();
        let queue = QueueDeclare { name: REPLIES.into(), ..QueueDeclare::default() };
        channel.declare_queue(queue).await.unwrap();
        let bind = QueueBind {
            queue: REPLIES.into(),
            exchange: exchange.into(),
            routing_key: REPLIES.into(),
            ..QueueBind::default()
        };
        channel.bind_queue(bind).await.unwrap();
        let replies = channel.consume(Consume::from_queue(REPLIES)).await.unwrap();
        Self { _engine: engine, channel, replies }
    }

    async fn send(&self, queue: &str, properties: &Properties, body: &[u8]) {
        let routing_key = queue.to_owned();
        let route = Route { exchange: String::new(), routing_key, mandatory: true };
        let publisher = self.channel.publisher(route, properties).unwrap();
        let confirm = publisher.publish(body, Duration::from_secs(10)).await.unwrap();
        assert!(confirm.await.is_ok());
    }

    async fn reply(&mut self) -> Delivery {
        let reply = tokio::time::timeout(Duration::from_secs(30), self.replies.next()).await;
        let reply = reply.expect("the caller gets an error").unwrap().unwrap();
        reply.ack();
        reply
    }

    /// Returns the class and the text of the next reply, which is an error of the `pika` dialect.
    async fn next_error(&mut self, correlation_id: &str) -> (String, String) {
        let reply = self.reply().await;
        assert_eq!(reply.properties().correlation_id, Some(correlation_id));
        let body: Value = match reply.properties().content_type {
            Some("application/json") => serde_json::from_slice(&reply.body().to_vec()).unwrap(),
            other => panic!("a reply of type {other:?}"),
        };
        let text = |key: &str| body["e"][key].as_str().unwrap().to_owned();
        (text("c"), text("s"))
    }
}

/// Returns properties of the `pika` dialect with this version.
fn versioned(version: &str) -> Properties {
    let mut headers = FieldTable::default();
    headers.insert("version".into(), AMQPValue::LongString(version.into()));
    Properties::new().with_headers(headers)
}

fn json_properties() -> Properties {
    versioned("1.0").with_content_type("application/json")
}

fn asking(properties: Properties, id: &str) -> Properties {
    properties.with_reply_to(REPLIES).with_correlation_id(id)
}

const NONE: &[u8] = br#"{"method": "none", "args": {}}"#;

/// Unreadable messages, each with a part of its error text.
fn unreadable_messages() -> Vec<(Properties, Vec<u8>, &'static str)> {
    let json = json_properties;
    let packed = || versioned("1.0").with_content_type("application/msgpack");
    let typed = |content_type: &str| versioned("1.0").with_content_type(content_type);
    let bare = Properties::new().with_content_type("application/json");
    let mut number = FieldTable::default();
    number.insert("version".into(), AMQPValue::LongInt(1));
    let enveloped = json!({
        "oslo.version": "2.0", "oslo.message": r#"{"method": "none", "args": {}}"#,
    });
    let versions = ["2.0", "0.9", "", "one"].map(|version| {
        let properties = versioned(version).with_content_type("application/json");
        (properties, NONE.to_vec(), "only 1.x is understood")
    });
    let deep = [&b"{\"method\": \"none\", \"args\": {\"a\": "[..], &[b'['; 100_000]].concat();
    let mut all = versions.to_vec();
    all.extend([
        (bare.clone().with_headers(number), NONE.to_vec(), "only 1.x is understood"),
        (bare, NONE.to_vec(), "it has no headers"),
        (typed("text/plain"), NONE.to_vec(), "\"text/plain\""),
        (versioned("1.0"), NONE.to_vec(), "is not supported"),
        (json(), b"{\"method\": \"none\", ".to_vec(), "no JSON object"),
        (json(), b"".to_vec(), "no JSON object"),
        (json(), b"[1]".to_vec(), "no JSON object"),
        (json(), b"\x00\xff".to_vec(), "no JSON object"),
        (json(), deep, "no JSON object"),
        (json(), enveloped.to_string().into_bytes(), "format of the rabbit driver"),
    ]);
    // A map of four billion entries; truncated text; no map; endless nesting.
    for body in [&b"\xdf\xff\xff\xff\xff"[..], b"\x81\xa6meth", b"\x93\x01\x02\x03", b"", b"\xc1"] {
        all.push((packed(), body.to_vec(), "no msgpack map"));
    }
    all.push((packed(), [&b"\x81\xa4args"[..], &[0x91; 100_000]].concat(), "no msgpack map"));
    all
}

#[test]
fn what_cannot_be_read_is_answered_and_dropped() {
    unreadable("pika");
}

#[test]
fn what_cannot_be_read_is_answered_and_dropped_by_servers_of_both() {
    unreadable("dual");
}

fn unreadable(dialect: &str) {
    let url = Broker::shared().vhost("pika-poison");
    run(async move {
        let transport = connect(&format!("{dialect}+{url}")).await;
        let server = server(&transport, "t", "s", &Notes::default()).await;
        let mut peer = RawPeer::at(&url).await;
        let mut sent = 0;
        for (number, (properties, body, reason)) in unreadable_messages().into_iter().enumerate() {
            for queue in ["with_ack.t", "no_ack.t", "with_ack.t.s"] {
                let id = format!("{number}-{queue}");
                // This message names no reply queue.
                peer.send(queue, &properties, &body).await;
                let asked = asking(properties.clone(), &id);
                peer.send(queue, &asked, &body).await;
                sent += 2;
                if reason == "no msgpack map" {
                    // A sender of msgpack gets its answer in msgpack.
                    let reply = peer.reply().await;
                    let head = reply.properties();
                    assert_eq!(head.content_type, Some("application/msgpack"));
                    assert_eq!(head.correlation_id, Some(&*id));
                    let text = String::from_utf8_lossy(&reply.body().to_vec()).into_owned();
                    assert!(text.contains("ValueError") && text.contains(reason), "{text}");
                } else {
                    let (class, text) = peer.next_error(&id).await;
                    assert_eq!(class, "ValueError");
                    assert!(text.contains(reason), "{reason}: {text}");
                }
            }
        }
        eventually(|| server.stats().undecodable == sent);
        assert_eq!(server.stats().dispatched, 0);
        assert_eq!(echo(&client(&transport, "t"), json!("fine")).await, "fine");
        // The server requeues nothing, and the broker gets the last acknowledgement.
        eventually(|| Broker::shared().queues_of(&url).iter().all(|queue| queue.messages == 0));
        assert_eq!(transport.metrics().served.undecodable, sent);
        server.wait().await.unwrap();
    });
}

#[test]
fn what_is_odd_is_served_as_far_as_it_goes() {
    let url = Broker::shared().vhost("pika-odd");
    run(async move {
        let transport = connect(&format!("dual+{url}")).await;
        let notes = Notes::default();
        let server = server(&transport, "t", "s", &notes).await;
        let mut peer = RawPeer::at(&url).await;
        // Headers without a version, and a later minor one; unknown keys.
        let headers = Properties::new().with_headers(FieldTable::default());
        for (id, properties) in [("a", headers), ("b", versioned("1.7"))] {
            let asked = asking(properties.with_content_type("application/json"), id);
            let body = br#"{"method": "echo", "args": {"arg": 5}, "unknown": {}, "_$_u": 1}"#;
            peer.send("with_ack.t", &asked, body).await;
            let reply = peer.reply().await;
            assert_eq!(reply.body().to_vec(), br#"{"s": 5}"#);
        }
        // Invalid arguments, a method of the wrong type, no method.
        for (id, body, class) in [
            ("c", r#"{"method": "add", "args": [1]}"#, "TypeError"),
            ("d", r#"{"method": 5, "args": {}}"#, "NoSuchMethod"),
            ("e", r#"{"args": {}}"#, "NoSuchMethod"),
        ] {
            peer.send("no_ack.t", &asking(json_properties(), id), body.as_bytes()).await;
            assert_eq!(peer.next_error(id).await.0, class, "{body}");
        }
        assert_eq!(server.stats().undecodable, 0);
        // One id twice; a reply address that is no reply queue; a reply queue without a correlation
        // id.
        let note = br#"{"method": "note", "args": {"arg": "twice"}}"#;
        let twice = json_properties().with_message_id("abc");
        peer.send("with_ack.t", &twice, note).await;
        peer.send("no_ack.t.s", &twice, note).await;
        eventually(|| server.stats().duplicates == 1);
        assert_eq!(notes.all(), ["twice"]);
        let elsewhere = json_properties().with_reply_to("t").with_correlation_id("f");
        peer.send("with_ack.t", &elsewhere, NONE).await;
        eventually(|| transport.stats().replies_dropped == 1);
        let nameless = json_properties().with_reply_to(REPLIES);
        peer.send("with_ack.t", &nameless, NONE).await;
        eventually(|| server.stats().undecodable == 1);
        assert_eq!(echo(&client(&transport, "t"), json!("fine")).await, "fine");
        server.wait().await.unwrap();
    });
}

#[test]
fn who_speaks_the_other_dialect_is_told_so() {
    let url = Broker::shared().vhost("other-dialect");
    run(async move {
        let transport = connect(&format!("dual+{url}")).await;
        let server = server(&transport, "t", "s", &Notes::default()).await;
        let mut peer = RawPeer::at(&url).await;
        // A message of the current driver on a queue of the former one, with its empty headers.
        let payload = json!({
            "method": "none", "args": {}, "_msg_id": "7", "_reply_q": REPLIES, "_unique_id": "u",
        });
        let body = json!({"oslo.version": "2.0", "oslo.message": payload.to_string()});
        let plain = Properties::new().with_content_type("application/json");
        let plain = plain.with_headers(FieldTable::default());
        peer.send("with_ack.t", &plain, body.to_string().as_bytes()).await;
        let reply = peer.reply().await;
        assert_eq!(reply.exchange(), "", "as servers of that dialect answer");
        let envelope: Value = serde_json::from_slice(&reply.body().to_vec()).unwrap();
        let text = envelope["oslo.message"].as_str().unwrap();
        let answer: Value = serde_json::from_str(text).unwrap();
        assert_eq!((&answer["_msg_id"], &answer["ending"]), (&json!("7"), &json!(true)));
        let failure: Value = serde_json::from_str(answer["failure"].as_str().unwrap()).unwrap();
        assert_eq!(failure["class"], "ValueError");
        assert!(failure["message"].as_str().unwrap().contains("format of the rabbit driver"));
        // A message of the former driver on a queue of the current one.
        peer.send("t", &asking(json_properties(), "p"), NONE).await;
        let (class, text) = peer.next_error("p").await;
        assert_eq!(class, "ValueError");
        assert!(text.contains("format of the pika driver"), "{text}");
        // The server executes a message of both dialects on the queues of either.
        let body = json!({
            "method": "none", "args": {}, "_msg_id": "8", "_reply_q": REPLIES, "_unique_id": "v",
        });
        peer.send("t", &asking(json_properties(), "8"), body.to_string().as_bytes()).await;
        assert_eq!(peer.reply().await.exchange(), "");
        assert_eq!((server.stats().undecodable, server.stats().dispatched), (2, 1));
        server.wait().await.unwrap();
    });
}

#[test]
fn what_has_expired_while_it_waited_is_not_executed() {
    let url = Broker::shared().vhost("pika-expired");
    run(async move {
        let config = DriverConfig::default().with_executor_threads(1);
        let transport = builder(&format!("dual+{url}"), config).connect().await.unwrap();
        let ((begin, begun), (release, released)) = (channel(), channel::<()>());
        let released = Mutex::new(released);
        let hold = Endpoint::new().method("hold", move |_: Context, (): ()| {
            begin.send(()).unwrap();
            let _ = released.lock().unwrap().recv();
            Ok::<_, Failure>(())
        });
        let notes = Notes::default();
        let target = Target::new("t").with_server("s");
        let builder = RpcServer::builder(&transport, target).endpoint(hold);
        let server = builder.endpoint(endpoint("s", &notes)).start().await.unwrap();
        let client = client(&transport, "t");
        client.cast((), "hold", &()).await.unwrap();
        tokio::task::block_in_place(|| begun.recv().unwrap());
        let peer = RawPeer::at(&url).await;
        let note = br#"{"method": "note", "args": {"arg": "late"}}"#;
        let life = Duration::from_secs(2);
        let properties = asking(json_properties(), "1").with_expiration("2000");
        peer.send("with_ack.t", &properties, note).await;
        let sent = Instant::now();
        eventually(|| transport.metrics().served.waiting == 1);
        eventually(|| sent.elapsed() > life);
        release.send(()).unwrap();
        eventually(|| transport.metrics().served.expired == 1);
        assert_eq!(echo(&client, json!("fine")).await, "fine");
        assert_eq!(notes.all(), [json!(null); 0]);
        server.wait().await.unwrap();
    });
}

#[test]
fn a_client_passes_over_replies_that_cannot_be_read() {
    let url = Broker::shared().vhost("pika-replies");
    run(async move {
        let transport = connect(&format!("pika+{url}")).await;
        let peer = RawPeer::at(&url).await;
        let client = client(&transport, "x");
        // Declares the exchange.
        let mandatory = client.prepare().with_at_least_once(true);
        assert!(mandatory.cast((), "x", &()).await.unwrap_err().is_undeliverable());
        let queue = QueueDeclare { name: "with_ack.x".into(), ..QueueDeclare::default() };
        peer.channel.declare_queue(queue).await.unwrap();
        let bind = QueueBind {
            queue: "with_ack.x".into(),
            exchange: "openstack_rpc".into(),
            routing_key: "with_ack.x".into(),
            ..QueueBind::default()
        };
        peer.channel.bind_queue(bind).await.unwrap();
        let answers = async {
            let consume = Consume::from_queue("with_ack.x");
            let mut requests = peer.channel.consume(consume).await.unwrap();
            let request = requests.next().await.unwrap().unwrap();
            request.ack();
            let head = request.properties();
            let (queue, id) = (head.reply_to.unwrap(), head.correlation_id.unwrap());
            let answering = |properties: Properties| properties.with_correlation_id(id);
            let json = || answering(json_properties());
            let newer = versioned("2.0").with_content_type("application/json");
            for (properties, body) in [
                (answering(newer), &br#"{"s": 1}"#[..]),
                (json(), b"{\"s\": "),
                (json(), b""),
                (answering(versioned("1.0").with_content_type("text/plain")), br#"{"s": 2}"#),
                (json_properties().with_correlation_id("nobody"), br#"{"s": 3}"#),
                (json_properties(), br#"{"s": 4}"#),
                (json(), br#"{"s": 5}"#),
                (json(), br#"{"s": 6}"#),
            ] {
                peer.send(queue, &properties, body).await;
            }
        };
        let (answer, ()) = tokio::join!(client.call::<i64>((), "x", &()), answers);
        assert_eq!(answer.unwrap(), 5);
        eventually(|| transport.stats().replies_late == 7);
        assert_eq!(transport.stats().calls_outstanding, 0);
    });
}

#[test]
fn a_listener_drops_what_is_no_notification() {
    let url = Broker::shared().vhost("pika-notifications");
    run(async move {
        let transport = connect(&format!("dual+{url}")).await;
        let heard = Notes::default();
        let endpoint = {
            let heard = heard.clone();
            NotificationEndpoint::new().info(move |one: Notification| heard.add(one.payload))
        };
        let listener = NotificationListener::builder(&transport, Target::new("n"))
            .endpoint(endpoint)
            .start()
            .await
            .unwrap();
        let peer = RawPeer::at(&url).await;
        let packed = || versioned("1.0").with_content_type("application/msgpack");
        let newer = versioned("2.0").with_content_type("application/json");
        let good = json!({
            "priority": "INFO", "event_type": "e", "payload": 7, "publisher_id": "p",
            "timestamp": "now", "message_id": "m",
        });
        let good = good.to_string().into_bytes();
        let unknown = br#"{"priority": "LOUD", "event_type": "e", "payload": 1}"#;
        let unreadable_messages = [
            (newer, &good[..]),
            (versioned("1.0").with_content_type("text/plain"), &good),
            (json_properties(), b"{"),
            (json_properties(), unknown),
            (packed(), b"\xdf\xff\xff\xff\xff"),
            (packed(), &good),
        ];
        for (properties, body) in &unreadable_messages {
            peer.send("n.info", properties, body).await;
        }
        peer.send("n.info", &json_properties(), &good).await;
        assert_eq!(heard.wait_for(1), [7]);
        assert_eq!(listener.stats().undecodable, unreadable_messages.len() as u64);
        eventually(|| Broker::shared().queues_of(&url).iter().all(|queue| queue.messages == 0));
        listener.wait().await.unwrap();
    });
}
