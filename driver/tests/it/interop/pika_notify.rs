//! Notifications between Leveret and Python's former `pika` driver.

use std::sync::{Arc, Mutex};

use leveret::{
    Context, DriverConfig, Notification, NotificationEndpoint, NotificationListener,
    NotificationResult, Notifier, Priority, Serialization, Target,
};
use leveret_support::{Broker, Peer};
use serde_json::{Value, json};

use crate::support::fixture::{builder, client, connect, eventually, run};
use crate::support::old_python::{heard, old_server, pika};

fn old_listener(url: &str, more: &[&str]) -> Peer {
    let url = pika(url);
    Peer::spawn_pika("listener.py", &[&["--url", &url, "--topic", "tópic"], more].concat())
}

fn old_notifier(url: &str, query: &str) -> Peer {
    Peer::spawn_pika("notifier.py", &["--url", &format!("{}{query}", pika(url))])
}

/// Records the notifications it receives.
fn keeping() -> (NotificationEndpoint, Arc<Mutex<Vec<Notification>>>) {
    let all: Arc<Mutex<Vec<Notification>>> = Arc::default();
    let endpoint = Priority::ALL.into_iter().fold(NotificationEndpoint::new(), |endpoint, one| {
        let all = Arc::clone(&all);
        endpoint.on(one, move |notification| all.lock().unwrap().push(notification))
    });
    (endpoint, all)
}

#[test]
fn an_old_listener_hears_us() {
    let url = Broker::shared().vhost("pika-listener");
    let mut listener = old_listener(&url, &[]);
    run(async {
        for (dialect, serialization) in [
            ("pika", Serialization::Json),
            ("pika", Serialization::MsgPack),
            ("dual", Serialization::Json),
        ] {
            let transport = connect(&format!("{dialect}+{url}")).await;
            let notifier = Notifier::builder(&transport)
                .publisher_id("rust.höst")
                .topic("tópic")
                .serialization(serialization)
                .build();
            everything_is_heard(&notifier, &mut listener).await;
            transport.close().await.unwrap();
        }
    });
    listener.stop();
}

async fn everything_is_heard(notifier: &Notifier, listener: &mut Peer) {
    let context = Context::new().with("user", "álice").with("n", json!([1, null]));
    let payload = json!({"x": "hé \u{0} 😀", "l": [1, 2.5, null]});
    for priority in Priority::ALL {
        notifier.notify(priority, &context, &format!("ev.{priority}"), &payload).await.unwrap();
    }
    let all = heard(listener, 7);
    assert_eq!(all.len(), 7, "{all:?}");
    for priority in Priority::ALL {
        let one = all.iter().find(|one| one["priority"] == priority.as_str()).unwrap();
        assert_eq!(one["event_type"], format!("ev.{priority}"));
        assert_eq!((&one["publisher_id"], &one["payload"]), (&json!("rust.höst"), &payload));
        assert_eq!((&one["ctxt"]["user"], &one["ctxt"]["n"]), (&json!("álice"), &json!([1, null])));
        assert_eq!(one["metadata"]["message_id"].as_str().unwrap().len(), 36);
        assert!(one["metadata"]["timestamp"].as_str().unwrap().starts_with("20"), "{one}");
    }
}

#[test]
fn we_hear_an_old_notifier() {
    we_hear("pika");
}

#[test]
fn a_listener_to_both_hears_an_old_notifier() {
    we_hear("dual");
}

fn we_hear(dialect: &str) {
    let url = Broker::shared().vhost("pika-notifier");
    run(async {
        let transport = connect(&format!("{dialect}+{url}")).await;
        let (endpoint, all) = keeping();
        let target = Target::new("notifications");
        let builder = NotificationListener::builder(&transport, target).endpoint(endpoint);
        let listening = builder.start().await.unwrap();
        for query in ["", "?default_serializer_type=msgpack"] {
            let mut notifier = old_notifier(&url, query);
            let payload = json!({"x": "hé \u{0} 😀", "l": [1, 2.5, null]});
            for priority in Priority::ALL {
                let command = json!({
                    "priority": priority.as_str(), "event_type": "ev", "payload": payload,
                    "ctxt": {"user": "álice"},
                });
                notifier.ask(&command.to_string());
            }
            eventually(|| all.lock().unwrap().len() == 7);
            let mut all = std::mem::take(&mut *all.lock().unwrap());
            all.sort_by_key(|one| one.priority);
            for (one, priority) in all.into_iter().zip(Priority::ALL) {
                assert_eq!((one.priority, one.event_type.as_str()), (priority, "ev"));
                assert_eq!(one.publisher_id, "python.host1");
                assert_eq!(one.payload, payload);
                assert_eq!(one.context, Context::new().with("user", "álice"));
                assert_eq!(one.message_id.len(), 36);
            }
            notifier.stop();
        }
        let heard = transport.metrics().heard;
        assert_eq!((heard.done, heard.undecodable, heard.duplicates), (14, 0, 0), "{heard:?}");
        listening.wait().await.unwrap();
        transport.close().await.unwrap();
    });
}

#[test]
fn we_and_an_old_listener_send_back_to_each_other() {
    let url = Broker::shared().vhost("pika-requeue");
    let mut python = old_listener(&url, &["--requeue", "20"]);
    run(async {
        let transport = connect(&format!("pika+{url}")).await;
        let ours = Arc::new(Mutex::new(Vec::new()));
        let endpoint = {
            let ours = Arc::clone(&ours);
            let refusals = Mutex::new(20);
            NotificationEndpoint::new().info(move |notification: Notification<i64>| {
                let mut refusals = refusals.lock().unwrap();
                if *refusals > 0 {
                    *refusals -= 1;
                    return NotificationResult::Requeue;
                }
                ours.lock().unwrap().push(notification.payload);
                NotificationResult::Handled
            })
        };
        let builder = NotificationListener::builder(&transport, Target::new("tópic"));
        let builder = builder.endpoint(endpoint).allow_requeue(true);
        let listening = builder.start().await.unwrap();
        let notifier = Notifier::builder(&transport).topic("tópic").build();
        for number in 0..100 {
            notifier.info((), "ev", &number).await.unwrap();
        }
        let mut all = Vec::new();
        eventually(|| {
            all.append(&mut ours.lock().unwrap());
            all.extend(heard(&mut python, 0).iter().map(|one| one["payload"].as_i64().unwrap()));
            all.len() >= 100
        });
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<_>>());
        assert!(listening.stats().requeued > 0);
        listening.wait().await.unwrap();
        transport.close().await.unwrap();
    });
    python.stop();
}

#[test]
fn batches_and_pools_go_both_ways_with_the_old_driver() {
    for dialect in ["pika", "dual"] {
        let url = Broker::shared().vhost("pika-batch");
        let mut python = old_listener(&url, &["--pool", "pool", "--batch-size", "10"]);
        let mut notifier = old_notifier(&url, "");
        run(async {
            let transport = connect(&format!("{dialect}+{url}")).await;
            let sizes = Arc::new(Mutex::new(Vec::new()));
            let endpoint = {
                let sizes = Arc::clone(&sizes);
                NotificationEndpoint::new()
                    .on_batch(Priority::Info, move |batch: Vec<Notification>| {
                        sizes.lock().unwrap().push(batch.len())
                    })
            };
            let listening = NotificationListener::builder(&transport, Target::new("tópic"))
                .endpoint(endpoint)
                .pool("ours")
                .batch_size(25)
                .start()
                .await
                .unwrap();
            let many = json!({
                "priority": "info", "event_type": "ev", "payload": {}, "topics": ["tópic"],
                "count": 25,
            });
            notifier.ask(&many.to_string());
            let ours = Notifier::builder(&transport).topic("tópic").build();
            for _ in 0..25 {
                ours.info((), "ev", &json!({})).await.unwrap();
            }
            eventually(|| listening.stats().handled == 50);
            assert_eq!(*sizes.lock().unwrap(), [25, 25]);
            let mut batches: Vec<usize> = Vec::new();
            // The old listener is bound only to the exchange of its own dialect.
            let reaches = if dialect == "pika" { 50 } else { 25 };
            eventually(|| {
                let more = heard(&mut python, 0);
                batches.extend(more.iter().map(|batch| batch.as_array().unwrap().len()));
                batches.iter().sum::<usize>() >= reaches
            });
            assert_eq!(batches.iter().sum::<usize>(), reaches);
            assert!(batches.iter().all(|size| *size <= 10), "{batches:?}");
            listening.wait().await.unwrap();
            transport.close().await.unwrap();
        });
        python.stop();
        notifier.stop();
    }
}

/// Durable queues survive a restart of the broker, others do not.
#[test]
fn kept_notifications_survive_the_broker_and_requests_do_not() {
    let broker = Broker::start();
    let url = broker.url_of("%2F");
    let mut server = old_server(&url, "t", "s");
    // The kill leaves no time for a clean shutdown, so the queues stay.
    server.kill();
    run(async {
        let mut config = DriverConfig::default();
        config.pika.notification_persistence = true;
        let transport = builder(&format!("pika+{url}"), config).connect().await.unwrap();
        client(&transport, "t").cast((), "none", &()).await.unwrap();
        let notifier = Notifier::builder(&transport).topic("tópic").build();
        notifier.info((), "ev", &json!("kept")).await.unwrap();
        assert_eq!(messages(&broker), [("tópic.info".into(), 1), ("with_ack.t".into(), 1)]);
        transport.close().await.unwrap();
    });
    broker.restart();
    assert_eq!(messages(&broker), [("tópic.info".to_owned(), 1)]);
    let mut listener = old_listener(&url, &["--option", "notification_persistence=true"]);
    let kept: Vec<Value> = heard(&mut listener, 1);
    assert_eq!(kept[0]["payload"], "kept", "the old driver's queue is the same");
    listener.stop();
}

/// Returns the queues that have messages.
fn messages(broker: &Broker) -> Vec<(String, u64)> {
    let full = broker.queues().into_iter().filter(|queue| queue.messages > 0);
    full.map(|queue| (queue.name, queue.messages)).collect()
}
