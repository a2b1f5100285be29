//! Bad input: a typed error that names the remedy, while everything else continues.

use std::io::Write as _;
use std::net::TcpListener;
use std::time::Duration;

use leveret::engine::{Consume, QueueDeclare};
use leveret::{Error, ErrorKind, Transport};
use leveret_support::Broker;
use serde_json::json;

use crate::support::fixture::{Notes, client, connect, echo, eventually, run, server};
use crate::support::raw::{JSON, raw, send};

async fn refused(url: &str) -> Error {
    let Err(error) = Transport::connect(url).await else { panic!("{url} must be refused") };
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains("hunter2"), "{shown}");
    error
}

#[test]
fn what_cannot_be_connected_to_says_why() {
    let port = Broker::shared().port();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    run(async {
        let error = refused(&format!("rabbit://guest:hunter2@127.0.0.1:{port}/")).await;
        assert_eq!(error.kind(), ErrorKind::TransportDriverError);
        assert!(error.to_string().contains("403"), "{error}");
        let error = refused(&format!("rabbit://guest:guest@127.0.0.1:{port}/absent")).await;
        assert!(error.to_string().contains("absent"), "{error}");
        let error = refused(&format!("rabbit://me:hunter2@127.0.0.1:{free}/")).await;
        assert!(error.to_string().to_lowercase().contains("refused"), "{error}");
        for url in [
            format!("rabbit://me:hunter2@127.0.0.1:{port}/?ssl=1"),
            format!("amqps://me:hunter2@127.0.0.1:{port}/"),
        ] {
            let error = refused(&url).await;
            assert_eq!(error.kind(), ErrorKind::TransportDriverError);
            assert!(error.to_string().contains("the port of plain connections"), "{error}");
        }
        let error = refused("zmq://me:hunter2@h/").await;
        assert_eq!(error.kind(), ErrorKind::DriverLoadFailure);
        let error = refused("me:hunter2@h/").await;
        assert_eq!(error.kind(), ErrorKind::InvalidTransportUrl);
    });
}

#[test]
fn a_peer_that_is_no_broker_is_recognised() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("rabbit://127.0.0.1:{}/", listener.local_addr().unwrap().port());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = stream.unwrap().write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let error = run(async move { refused(&url).await });
    assert_eq!(error.kind(), ErrorKind::TransportDriverError);
    assert!(error.to_string().contains("AMQP"), "{error}");
}

#[test]
fn poison_is_dropped_and_the_server_goes_on() {
    let url = Broker::shared().vhost("poison");
    let vhost = url.rsplit('/').next().unwrap().to_owned();
    run(async move {
        let transport = connect(&url).await;
        let server = server(&transport, "t", "s", &Notes::default()).await;
        let (_engine, channel) = raw(Broker::shared().port(), &vhost).await;
        let poison = [
            (JSON, "[1]"),
            (JSON, "{"),
            (JSON, ""),
            (JSON, "\u{0}\u{1}"),
            (JSON, r#"{"oslo.version": "2.1", "oslo.message": "{}"}"#),
            (JSON, r#"{"oslo.version": "2.0", "oslo.message": "{broken"}"#),
            (JSON, r#"{"oslo.version": "2.0", "oslo.message": 5}"#),
            (Some("text/plain"), r#"{"method": "none", "args": {}}"#),
            (Some("application/x-msgpack"), "\u{1}"),
            (None, r#"{"method": "none", "args": {}}"#),
        ];
        for (content_type, body) in poison {
            send(&channel, "t", content_type, body).await;
        }
        eventually(|| server.stats().undecodable == poison.len() as u64);
        let client = client(&transport, "t");
        assert_eq!(echo(&client, json!("fine")).await, "fine");
        // The server requeues nothing, and the broker gets the last acknowledgement.
        eventually(|| Broker::shared().queues_of(&url).iter().all(|queue| queue.messages == 0));
        server.wait().await.unwrap();
    });
}

#[test]
fn odd_requests_are_served_or_ignored() {
    let url = Broker::shared().vhost("odd");
    let vhost = url.rsplit('/').next().unwrap().to_owned();
    run(async move {
        let transport = connect(&url).await;
        let notes = Notes::default();
        let server = server(&transport, "t", "s", &notes).await;
        let (_engine, channel) = raw(Broker::shared().port(), &vhost).await;
        // A message without an envelope; the same message twice; a reply address that is no reply
        // queue.
        let plain = r#"{"method": "note", "args": {"arg": "plain"}, "unknown": {}}"#;
        send(&channel, "t", JSON, plain).await;
        let twice = r#"{"method": "note", "args": {"arg": "twice"}, "_unique_id": "abc"}"#;
        send(&channel, "t", JSON, twice).await;
        send(&channel, "t.s", JSON, twice).await;
        let elsewhere = r#"{"method": "none", "_msg_id": "1", "_reply_q": "t"}"#;
        send(&channel, "t", JSON, elsewhere).await;
        send(&channel, "t", JSON, r#"{"args": {}}"#).await;
        eventually(|| transport.stats().replies_dropped == 1);
        eventually(|| server.stats().duplicates == 1);
        let mut all = notes.wait_for(2);
        all.sort_by_key(ToString::to_string);
        assert_eq!(all, [json!("plain"), json!("twice")]);
        assert_eq!(server.stats().undecodable, 0);
        server.wait().await.unwrap();
    });
}

#[test]
fn a_reply_waits_for_its_queue() {
    let url = Broker::shared().vhost("late-queue");
    let vhost = url.rsplit('/').next().unwrap().to_owned();
    run(async move {
        let transport = connect(&url).await;
        let server = server(&transport, "t", "s", &Notes::default()).await;
        let (_engine, channel) = raw(Broker::shared().port(), &vhost).await;
        let request = r#"{"method": "none", "_msg_id": "7", "_reply_q": "reply_late"}"#;
        send(&channel, "t", JSON, request).await;
        eventually(|| server.stats().dispatched == 1);
        // Long enough for the broker to return the first publication.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let queue = QueueDeclare { name: "reply_late".into(), ..QueueDeclare::default() };
        channel.declare_queue(queue).await.unwrap();
        let mut consumer = channel.consume(Consume::from_queue("reply_late")).await.unwrap();
        let reply = consumer.next().await.unwrap().unwrap();
        let body = String::from_utf8(reply.body().to_vec()).unwrap();
        assert!(body.contains(r#"\"_msg_id\": \"7\""#), "{body}");
        assert_eq!(reply.properties().delivery_mode, Some(2));
        reply.ack();
        assert_eq!(transport.stats().replies_dropped, 0);
        server.wait().await.unwrap();
    });
}

#[test]
fn a_reply_queue_that_stays_away_is_given_up() {
    let url = Broker::shared().vhost("no-queue");
    let vhost = url.rsplit('/').next().unwrap().to_owned();
    run(async move {
        let transport = connect(&format!("{url}?kombu_missing_consumer_retry_timeout=0.6")).await;
        let server = server(&transport, "t", "s", &Notes::default()).await;
        let (_engine, channel) = raw(Broker::shared().port(), &vhost).await;
        let request = r#"{"method": "none", "_msg_id": "7", "_reply_q": "reply_never"}"#;
        send(&channel, "t", JSON, request).await;
        eventually(|| transport.stats().replies_dropped == 1);
        send(&channel, "t", JSON, request).await;
        eventually(|| transport.stats().replies_dropped == 2);
        server.wait().await.unwrap();
    });
}

#[test]
fn replies_of_any_spelling_find_their_caller_and_strangers_are_dropped() {
    let url = Broker::shared().vhost("replies");
    let vhost = url.rsplit('/').next().unwrap().to_owned();
    run(async move {
        let transport = connect(&url).await;
        let server = server(&transport, "t", "s", &Notes::default()).await;
        let client = client(&transport, "t");
        echo(&client, json!("opens the reply queue")).await;
        let queues = Broker::shared().queues_of(&url);
        let queue = queues.into_iter().find(|queue| queue.name.starts_with("reply_")).unwrap().name;
        let (_engine, channel) = raw(Broker::shared().port(), &vhost).await;
        let unknown_id = "0123456789abcdef0123456789abcdef";
        let inside = format!(
            "{{\"result\": 1, \"failure\": null, \"ending\": true, \"_msg_id\": \"{unknown_id}\", \
             \"_unique_id\": \"{unknown_id}\"}}"
        );
        let compact = json!({"oslo.version": "2.0", "oslo.message": inside}).to_string();
        for body in [compact.as_str(), "garbage", r#"{"_msg_id": "x", "result": 1}"#, "{}"] {
            send(&channel, &queue, JSON, body).await;
        }
        eventually(|| transport.stats().replies_late == 4);
        assert_eq!(echo(&client, json!("fine")).await, "fine");
        server.wait().await.unwrap();
    });
}

#[test]
fn what_json_cannot_hold_is_not_sent() {
    run(async {
        let transport = connect("fake:///unsendable").await;
        let client = client(&transport, "t");
        for result in [
            client.cast((), "x", &vec![1, 2]).await,
            client.cast((), "x", &"text").await,
            client.cast((), "x", &std::collections::BTreeMap::from([(vec![1], 1)])).await,
        ] {
            assert_eq!(result.unwrap_err().kind(), ErrorKind::ClientSendError);
        }
        let error = client.with_timeout(Duration::ZERO).call::<()>((), "x", &()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ClientSendError);
    });
}
