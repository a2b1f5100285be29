//! A broker that stops and restarts under traffic.

use std::time::Duration;

use leveret::{ErrorKind, Transport};
use leveret_support::Broker;
use serde_json::json;

use crate::support::fixture::{Notes, client, connect, echo, run, server};

#[test]
fn traffic_resumes_after_a_broker_was_killed() {
    let broker = Broker::start();
    let url = broker.url();
    run(async {
        let transport = connect(&format!("{url}?rabbit_interval_max=1")).await;
        let notes = Notes::default();
        let server = server(&transport, "t", "s", &notes).await;
        let client = client(&transport, "t");
        assert_eq!(echo(&client, json!("before")).await, "before");
        let restart = tokio::task::spawn_blocking(move || {
            broker.restart();
            broker
        });
        let mut answered = 0;
        let mut failed = 0;
        let short = client.prepare().with_timeout(Duration::from_secs(2));
        while answered < 20 || !restart.is_finished() {
            match short.call::<i64>((), "add", &json!({"a": 1, "b": answered})).await {
                Ok(sum) => {
                    assert_eq!(sum, 1 + answered);
                    answered += 1;
                }
                Err(error) => {
                    assert!(
                        matches!(
                            error.kind(),
                            ErrorKind::MessagingTimeout | ErrorKind::MessageDeliveryFailure
                        ),
                        "{error:?}"
                    );
                    failed += 1;
                    assert!(failed < 60, "traffic does not resume: {error}");
                }
            }
        }
        let broker = restart.await.unwrap();
        assert!(server.stats().reconnects >= 1 && transport.stats().reconnects >= 1);
        assert_eq!(transport.stats().calls_outstanding, 0);
        client.with_fanout(true).cast((), "note", &json!({"arg": "after"})).await.unwrap();
        tokio::task::spawn_blocking(move || notes.wait_for(1)).await.unwrap();
        server.wait().await.unwrap();
        transport.close().await.unwrap();
        drop(broker);
    });
}

#[test]
fn a_dead_host_of_the_url_is_passed_over() {
    let port = Broker::shared().port();
    run(async {
        for _ in 0..4 {
            // Each connect shuffles the hosts.
            let url = format!("rabbit://guest:guest@127.0.0.1:1,guest:guest@127.0.0.1:{port}/");
            let transport = Transport::connect(&url).await.unwrap();
            transport.close().await.unwrap();
        }
    });
}
