//! Notifications to and from Python, in both versions of the envelope.

use std::sync::{Arc, Mutex};

use leveret::{
    Context, Notification, NotificationDriver, NotificationEndpoint, NotificationListener,
    NotificationResult, Notifier, Priority, Target,
};
use leveret_support::{Broker, Peer};
use serde_json::{Value, json};

use crate::support::fixture::{connect, eventually, run};

fn heard(listener: &mut Peer, count: usize) -> Vec<Value> {
    serde_json::from_str(&listener.ask(&count.to_string())).unwrap()
}

#[test]
fn a_python_listener_hears_us() {
    let url = Broker::shared().vhost("python-listener");
    let mut listener = Peer::spawn("listener.py", &["--url", &url, "--topic", "tópic"]);
    run(async {
        let transport = connect(&url).await;
        for driver in [NotificationDriver::Messaging, NotificationDriver::MessagingV2] {
            let notifier = Notifier::builder(&transport)
                .publisher_id("rust.höst")
                .topic("tópic")
                .driver(driver)
                .build();
            let context = Context::new().with("user", "álice").with("n", json!([1, null]));
            let payload = json!({"x": "hé \u{0} 😀", "l": [1, 2.5, null]});
            for priority in Priority::ALL {
                let event_type = format!("ev.{priority}");
                notifier.notify(priority, &context, &event_type, &payload).await.unwrap();
            }
            let all = heard(&mut listener, 7);
            assert_eq!(all.len(), 7, "{all:?}");
            for priority in Priority::ALL {
                let one = all.iter().find(|one| one["priority"] == priority.as_str()).unwrap();
                assert_eq!(one["event_type"], format!("ev.{priority}"));
                assert_eq!(
                    (&one["publisher_id"], &one["payload"]),
                    (&json!("rust.höst"), &payload)
                );
                assert_eq!(one["ctxt"]["user"], "álice");
                assert_eq!(one["ctxt"]["n"], json!([1, null]));
                assert_eq!(one["metadata"]["message_id"].as_str().unwrap().len(), 36);
                assert!(one["metadata"]["timestamp"].as_str().unwrap().starts_with("20"));
            }
        }
        transport.close().await.unwrap();
    });
    listener.stop();
}

#[test]
fn we_hear_a_python_notifier() {
    let url = Broker::shared().vhost("python-notifier");
    let mut notifier = Peer::spawn("notifier.py", &["--url", &url]);
    run(async {
        let transport = connect(&url).await;
        let all: Arc<Mutex<Vec<Notification>>> = Arc::default();
        let endpoint =
            Priority::ALL.into_iter().fold(NotificationEndpoint::new(), |endpoint, one| {
                let all = Arc::clone(&all);
                endpoint.on(one, move |notification| all.lock().unwrap().push(notification))
            });
        let target = Target::new("notifications");
        let builder = NotificationListener::builder(&transport, target).endpoint(endpoint);
        let listening = builder.start().await.unwrap();
        for driver in ["messaging", "messagingv2"] {
            let payload = json!({"x": "hé \u{0} 😀", "l": [1, 2.5, null]});
            for priority in Priority::ALL {
                let command = json!({
                    "priority": priority.as_str(), "event_type": "ev", "payload": payload,
                    "ctxt": {"user": "álice"}, "driver": driver,
                });
                notifier.ask(&command.to_string());
            }
            eventually(|| all.lock().unwrap().len() == 7);
            let mut all = std::mem::take(&mut *all.lock().unwrap());
            all.sort_by_key(|one| one.priority);
            for (one, priority) in all.into_iter().zip(Priority::ALL) {
                assert_eq!((one.priority, one.event_type.as_str()), (priority, "ev"));
                assert_eq!(
                    (one.publisher_id.as_str(), one.payload),
                    ("python.host1", payload.clone())
                );
                assert_eq!(one.context, Context::new().with("user", "álice"));
                assert_eq!(one.message_id.len(), 36);
            }
        }
        listening.wait().await.unwrap();
        transport.close().await.unwrap();
    });
    notifier.stop();
}

#[test]
fn python_and_we_share_a_queue_and_send_back_to_each_other() {
    let url = Broker::shared().vhost("python-requeue");
    let arguments = ["--url", &url, "--topic", "t", "--requeue", "20"];
    let mut python = Peer::spawn("listener.py", &arguments);
    run(async {
        let transport = connect(&url).await;
        let notifier = Notifier::builder(&transport).topic("t").build();
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
        let builder = NotificationListener::builder(&transport, Target::new("t"));
        let builder = builder.endpoint(endpoint).allow_requeue(true);
        let listening = builder.start().await.unwrap();
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
fn batches_and_pools_go_both_ways() {
    let url = Broker::shared().vhost("python-batch");
    let arguments = ["--url", &url, "--topic", "t", "--pool", "pool", "--batch-size", "10"];
    let mut python = Peer::spawn("listener.py", &arguments);
    let mut notifier = Peer::spawn("notifier.py", &["--url", &url]);
    run(async {
        let transport = connect(&url).await;
        let ours = Arc::new(Mutex::new(Vec::new()));
        let endpoint = {
            let ours = Arc::clone(&ours);
            NotificationEndpoint::new().on_batch(Priority::Info, move |batch: Vec<Notification>| {
                ours.lock().unwrap().push(batch.len())
            })
        };
        let listening = NotificationListener::builder(&transport, Target::new("t"))
            .endpoint(endpoint)
            .pool("ours")
            .batch_size(25)
            .start()
            .await
            .unwrap();
        let many = json!({
            "priority": "info", "event_type": "ev", "payload": {}, "topics": ["t"], "count": 25,
        });
        notifier.ask(&many.to_string());
        let ours_too = Notifier::builder(&transport).topic("t").build();
        for _ in 0..25 {
            ours_too.info((), "ev", &json!({})).await.unwrap();
        }
        eventually(|| listening.stats().handled == 50);
        assert_eq!(*ours.lock().unwrap(), [25, 25]);
        let mut batches: Vec<usize> = Vec::new();
        eventually(|| {
            let more = heard(&mut python, 0);
            batches.extend(more.iter().map(|batch| batch.as_array().unwrap().len()));
            batches.iter().sum::<usize>() >= 50
        });
        assert_eq!(batches.iter().sum::<usize>(), 50);
        assert!(batches.iter().all(|size| *size <= 10), "{batches:?}");
        listening.wait().await.unwrap();
        transport.close().await.unwrap();
    });
    python.stop();
    notifier.stop();
}
