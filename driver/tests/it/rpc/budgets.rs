//! Peers choose the size of messages; byte limits bound the messages that wait.

use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use leveret::engine::loopback::{Loopback, LoopbackConfig};
use leveret::engine::{Channel, Consume, Engine, QueueDeclare};
use leveret::{
    Context, DriverConfig, Endpoint, Failure, Notification, NotificationEndpoint,
    NotificationListener, Notifier, Priority, RpcServer, Target, Transport,
};
use serde_json::{Value, json};

use crate::support::fixture::{builder, client, connect, eventually, run};
use crate::support::raw::{JSON, raw, send};

const MIB: usize = 1 << 20;

/// Starts a broker; returns it with its URL and a channel for raw messages.
async fn broker_with_channel() -> (Loopback, String, Engine, Channel) {
    let broker = Loopback::start(LoopbackConfig::default()).unwrap();
    let port = broker.addr().port();
    let url = format!("rabbit://guest:guest@127.0.0.1:{port}/");
    let (engine, channel) = raw(port, "/").await;
    (broker, url, engine, channel)
}

async fn large_server(transport: &Transport) -> RpcServer {
    let endpoint = Endpoint::new()
        .method("large", |_: Context, (): ()| Ok::<_, Failure>("x".repeat(MIB)))
        .method("none", |_, (): ()| Ok::<_, Failure>(()));
    let target = Target::new("t").with_server("s");
    RpcServer::builder(transport, target).endpoint(endpoint).start().await.unwrap()
}

fn request(method: &str, msg_id: &str, queue: &str) -> String {
    json!({"method": method, "args": {}, "_msg_id": msg_id, "_reply_q": queue}).to_string()
}

#[test]
fn replies_to_queues_that_are_missing_are_held_by_their_bytes() {
    run(async {
        let (_broker, url, _engine, channel) = broker_with_channel().await;
        let transport = connect(&format!("{url}?kombu_missing_consumer_retry_timeout=600")).await;
        let server = large_server(&transport).await;
        for number in 0..60 {
            let queue = format!("reply_missing{number}");
            send(&channel, "t", JSON, &request("large", "7", &queue)).await;
        }
        eventually(|| server.stats().dispatched == 60);
        eventually(|| transport.stats().replies_dropped >= 44);
        // The server keeps retrying the replies it holds.
        let resent = transport.metrics().replies_resent;
        eventually(|| transport.metrics().replies_resent > resent + 15);
        assert!(transport.stats().replies_dropped <= 60 - 10, "16 MiB have room");
        let small = request("none", "8", "reply_late");
        for number in 0..60 {
            let queue = format!("reply_missing{number}");
            channel
                .declare_queue(QueueDeclare { name: queue, ..QueueDeclare::default() })
                .await
                .unwrap();
        }
        tokio::time::sleep(Duration::from_millis(600)).await;
        send(&channel, "t", JSON, &small).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        let late = QueueDeclare { name: "reply_late".into(), ..QueueDeclare::default() };
        channel.declare_queue(late).await.unwrap();
        let mut consumer = channel.consume(Consume::from_queue("reply_late")).await.unwrap();
        consumer.next().await.unwrap().unwrap().ack();
        server.wait().await.unwrap();
    });
}

#[test]
fn who_asks_under_a_name_without_end_is_nobody() {
    run(async {
        let (_broker, url, _engine, channel) = broker_with_channel().await;
        let transport = connect(&url).await;
        let server = large_server(&transport).await;
        let (short, long) = ("7", "7".repeat(MIB));
        let queue = QueueDeclare { name: "reply_queue".into(), ..QueueDeclare::default() };
        channel.declare_queue(queue).await.unwrap();
        let mut consumer = channel.consume(Consume::from_queue("reply_queue")).await.unwrap();
        for (msg_id, queue) in [
            (long.as_str(), "reply_queue"),
            (short, &format!("reply_{long}")),
            (&long[..256], "reply_queue"),
        ] {
            send(&channel, "t", JSON, &request("none", msg_id, queue)).await;
            // The server sends no other answer either.
            let broken = request("none", msg_id, queue).replace("{}", &"[".repeat(300));
            send(&channel, "t", JSON, &broken).await;
        }
        eventually(|| server.stats().dispatched == 3 && server.stats().undecodable == 3);
        eventually(|| transport.stats().replies_dropped == 3);
        send(&channel, "t", JSON, &request("none", &long[..255], "reply_queue")).await;
        let reply = consumer.next().await.unwrap().unwrap();
        assert!(reply.body().len() < 1000, "the first reply is the small one");
        server.wait().await.unwrap();
    });
}

/// Starts a server of one thread whose method blocks until a signal.
async fn held_server(transport: &Transport) -> (RpcServer, Sender<()>) {
    let (release, released) = channel::<()>();
    let released = Mutex::new(released);
    let endpoint = Endpoint::new().method("hold", move |_: Context, _: Value| {
        let _ = released.lock().unwrap().recv();
        Ok::<_, Failure>(())
    });
    let target = Target::new("t").with_server("s");
    let server = RpcServer::builder(transport, target).endpoint(endpoint).start().await.unwrap();
    (server, release)
}

#[test]
fn a_server_that_is_behind_holds_so_many_bytes_and_still_stops() {
    run(async {
        let (_broker, url, _engine, _channel) = broker_with_channel().await;
        let config = DriverConfig::default().with_executor_threads(1);
        let transport = builder(&url, config).connect().await.unwrap();
        let (server, release) = held_server(&transport).await;
        let sender = connect(&url).await;
        let client = client(&sender, "t");
        let args = json!({"arg": "x".repeat(30_000)});
        for _ in 0..2000 {
            client.cast((), "hold", &args).await.unwrap();
        }
        let waiting = || transport.metrics().served.waiting_bytes;
        eventually(|| waiting() > 15 * MIB);
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(waiting() < 18 * MIB, "{} bytes wait", waiting());
        let begun = Instant::now();
        server.stop().await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        drop(release);
        server.wait().await.unwrap();
        let done = server.stats();
        // Requests beyond the limit stay unacknowledged.
        assert!(done.dispatched < 600 && done.returned > 0, "{done:?}");
        // Another server gets the returned requests.
        let (server, release) = held_server(&transport).await;
        drop(release);
        let left = 2000 - done.dispatched;
        eventually(|| server.stats().dispatched == left);
        server.wait().await.unwrap();
    });
}

async fn batch_listener(transport: &Transport, size: usize) -> NotificationListener {
    let endpoint =
        NotificationEndpoint::new().on_batch(Priority::Info, |_: Vec<Notification<Value>>| {});
    NotificationListener::builder(transport, Target::new("n"))
        .endpoint(endpoint)
        .batch_size(size)
        .start()
        .await
        .unwrap()
}

#[test]
fn batches_of_large_notifications_are_served() {
    run(async {
        let (_broker, url, _engine, _channel) = broker_with_channel().await;
        let transport = connect(&url).await;
        let listener = batch_listener(&transport, 1000).await;
        let notifier = Notifier::builder(&transport).publisher_id("p").topic("n").build();
        let payload = json!("x".repeat(MIB));
        for _ in 0..40 {
            notifier.info((), "e", &payload).await.unwrap();
        }
        eventually(|| listener.stats().handled >= 32);
        // The rest is no full batch; the listener handles it before it stops.
        let here = || listener.stats().handled as usize + transport.metrics().heard.waiting;
        eventually(|| here() == 40);
        listener.wait().await.unwrap();
        assert_eq!(listener.stats().handled, 40);
    });
}

#[test]
fn a_batch_of_many_that_come_one_by_one_is_served() {
    run(async {
        let (_broker, url, _engine, _channel) = broker_with_channel().await;
        let transport = connect(&url).await;
        let listener = batch_listener(&transport, 300).await;
        let notifier = Notifier::builder(&transport).publisher_id("p").topic("n").build();
        let payload = json!("x".repeat(2000));
        for number in 0..300 {
            notifier.info((), "e", &payload).await.unwrap();
            if number < 299 {
                eventually(|| transport.metrics().heard.waiting > number.min(250));
            }
        }
        eventually(|| listener.stats().handled == 300);
        listener.wait().await.unwrap();
    });
}
