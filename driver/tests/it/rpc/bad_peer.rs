//! Peers that send too much, too often or too late: only their own message fails.

use std::time::Duration;

use leveret::engine::{Channel, Consume, FieldTable, QueueBind, QueueDeclare};
use leveret_support::Broker;
use serde_json::{Value, json};

use crate::support::fixture::{Notes, client, connect, echo, eventually, run, server};
use crate::support::raw::{JSON, raw, send};

fn enveloped(payload: &str) -> String {
    json!({"oslo.version": "2.0", "oslo.message": payload}).to_string()
}

#[test]
fn deep_or_long_requests_cost_themselves_only() {
    let url = Broker::shared().vhost("deep");
    let vhost = url.rsplit('/').next().unwrap().to_owned();
    run(async move {
        let transport = connect(&url).await;
        let notes = Notes::default();
        let server = server(&transport, "t", "s", &notes).await;
        let (_engine, channel) = raw(Broker::shared().port(), &vhost).await;
        let deep = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let with_args = |args: &str| format!(r#"{{"method": "note", "args": {{"arg": {args}}}}}"#);
        let poison = [
            enveloped(&with_args(&deep(100_000))),
            with_args(&deep(100_000)),
            enveloped(&with_args(&"[".repeat(100))),
            enveloped(&with_args(r#"[[[{"a": [1, 2, {"b": tru}]}]]]"#)),
            format!(r#"{{"oslo.version": "2.0", "oslo.message": {}}}"#, deep(100_000)),
        ];
        for body in &poison {
            send(&channel, "t", JSON, body).await;
        }
        eventually(|| server.stats().undecodable == poison.len() as u64);

        let context: String =
            (0..10_000).map(|key| format!(r#", "_context_key{key}": {key}"#)).collect();
        let long = format!(r#"{{"method": "note", "args": {{"arg": "long"}}{context}}}"#);
        send(&channel, "t", JSON, &enveloped(&long)).await;
        assert_eq!(notes.wait_for(1), ["long"]);
        let deepest = format!(r#"{{"method": "echo", "args": {{"arg": {}}}}}"#, deep(126));
        send(&channel, "t", JSON, &enveloped(&deepest)).await;
        eventually(|| server.stats().dispatched == 2);
        assert_eq!(server.stats().undecodable, poison.len() as u64);
        assert_eq!(echo(&client(&transport, "t"), json!("fine")).await, "fine");
        server.wait().await.unwrap();
    });
}

#[test]
fn odd_timeouts_of_a_call_monitor_are_passed_over() {
    let url = Broker::shared().vhost("odd-timeouts");
    let vhost = url.rsplit('/').next().unwrap().to_owned();
    run(async move {
        let transport = connect(&url).await;
        let server = server(&transport, "t", "s", &Notes::default()).await;
        let (_engine, channel) = raw(Broker::shared().port(), &vhost).await;
        let queue = QueueDeclare { name: "reply_odd".into(), ..QueueDeclare::default() };
        channel.declare_queue(queue).await.unwrap();
        let mut consumer = channel.consume(Consume::from_queue("reply_odd")).await.unwrap();
        for timeout in ["1e308", "1e999", "-5", "0", "\"soon\"", "NaN", "[]", "true"] {
            let request = format!(
                r#"{{"method": "none", "args": {{}}, "_msg_id": "7", "_reply_q": "reply_odd",
                    "_timeout": {timeout}}}"#
            );
            send(&channel, "t", JSON, &request).await;
            let reply = consumer.next().await.unwrap().unwrap();
            let body = String::from_utf8(reply.body().to_vec()).unwrap();
            assert!(body.contains(r#"\"ending\": true"#), "{timeout}: {body}");
            reply.ack();
        }
        server.wait().await.unwrap();
    });
}

/// Takes one request from a queue without a Leveret server.
async fn request(channel: &Channel, queue: &str) -> Value {
    let mut consumer = channel.consume(Consume::from_queue(queue)).await.unwrap();
    let delivery = tokio::time::timeout(Duration::from_secs(30), consumer.next()).await;
    let delivery = delivery.unwrap().unwrap().unwrap();
    delivery.ack();
    let envelope: Value = serde_json::from_slice(&delivery.body().to_vec()).unwrap();
    serde_json::from_str(envelope["oslo.message"].as_str().unwrap()).unwrap()
}

fn reply_to(request: &Value, result: i64) -> String {
    let msg_id = &request["_msg_id"];
    enveloped(&format!(
        r#"{{"result": {result}, "failure": null, "ending": true, "_msg_id": {msg_id}, "_unique_id":
            "0123456789abcdef0123456789abcdef"}}"#
    ))
}

#[test]
fn the_first_reply_counts_and_a_late_one_is_nobodys() {
    let url = Broker::shared().vhost("two-replies");
    let vhost = url.rsplit('/').next().unwrap().to_owned();
    run(async move {
        let transport = connect(&url).await;
        let (_engine, channel) = raw(Broker::shared().port(), &vhost).await;
        for queue in ["twice", "late"] {
            // Declares the exchange.
            client(&transport, queue).cast((), "x", &()).await.unwrap();
            let declared = QueueDeclare { name: queue.into(), ..QueueDeclare::default() };
            channel.declare_queue(declared).await.unwrap();
            let (exchange, routing_key) = ("openstack".into(), queue.into());
            let arguments = FieldTable::default();
            let bind = QueueBind { queue: queue.into(), exchange, routing_key, arguments };
            channel.bind_queue(bind).await.unwrap();
        }
        let twice = client(&transport, "twice");
        let answer = tokio::join!(twice.call::<i64>((), "x", &()), async {
            let request = request(&channel, "twice").await;
            let queue = request["_reply_q"].as_str().unwrap();
            send(&channel, queue, JSON, &reply_to(&request, 1)).await;
            send(&channel, queue, JSON, &reply_to(&request, 2)).await;
        });
        assert_eq!(answer.0.unwrap(), 1);
        eventually(|| transport.stats().replies_late == 1);

        let late = client(&transport, "late").with_timeout(Duration::from_secs(2));
        let answer = tokio::join!(late.call::<i64>((), "x", &()), request(&channel, "late"));
        assert!(answer.0.unwrap_err().is_timeout());
        let queue = answer.1["_reply_q"].as_str().unwrap();
        send(&channel, queue, JSON, &reply_to(&answer.1, 3)).await;
        eventually(|| transport.stats().replies_late == 2);
        assert_eq!(transport.stats().calls_outstanding, 0);
    });
}
