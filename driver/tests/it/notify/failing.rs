//! Notifications that fail: only the failing one is retried and dropped. Also notifications on a
//! lost connection.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use leveret::engine::loopback::{Loopback, LoopbackConfig};
use leveret::{ErrorKind, Executor, Notification, NotificationEndpoint, Priority};
use serde_json::json;

use crate::notify::delivery::{Received, listener, notifier};
use crate::support::every_broker::on_every_broker;
use crate::support::fixture::{connect, eventually, run};

on_every_broker! {
    a_poisoned_notification_is_given_up
    a_poisoned_notification_takes_no_batch_along
    what_is_no_payload_of_a_batch_fails_alone
    a_short_failure_loses_nothing
    async_functions_do_not_run_inline
}

async fn a_poisoned_notification_is_given_up(url: String) {
    let transport = connect(&url).await;
    let numbers = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&numbers);
    let endpoint = NotificationEndpoint::new().info(move |notification: Notification<i64>| {
        assert_ne!(notification.payload, 2, "on purpose");
        seen.lock().unwrap().push(notification.payload);
    });
    let builder = listener(&transport, "t").endpoint(endpoint).allow_requeue(true);
    let listening = builder.attempts_max(3).start().await.unwrap();
    let notifier = notifier(&transport, "t");
    for payload in [json!(1), json!(2), json!("no number"), json!(3)] {
        notifier.info((), "ev", &payload).await.unwrap();
    }
    eventually(|| listening.stats().dropped == 2 && listening.stats().handled == 2);
    listening.wait().await.unwrap();
    assert_eq!(listening.stats().requeued, 4, "two of them, three attempts each");
    let mut numbers = numbers.lock().unwrap().clone();
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 3], "the other notifications are handled");
    transport.close().await.unwrap();
}

/// Batches in order of arrival, each sorted.
type Batches = Arc<Mutex<Vec<Vec<i64>>>>;

async fn a_poisoned_notification_takes_no_batch_along(url: String) {
    let transport = connect(&url).await;
    let batches = Batches::default();
    let seen = Arc::clone(&batches);
    let endpoint = NotificationEndpoint::new().on_batch(
        Priority::Info,
        move |batch: Vec<Notification<i64>>| {
            let mut numbers: Vec<i64> = batch.iter().map(|one| one.payload).collect();
            numbers.sort_unstable();
            let is_poisoned = numbers.contains(&2);
            seen.lock().unwrap().push(numbers);
            if is_poisoned { Err("poisoned") } else { Ok(()) }
        },
    );
    let notifier = notifier(&transport, "t");
    for number in 0..4 {
        notifier.info((), "ev", &number).await.unwrap();
    }
    let builder = listener(&transport, "t").endpoint(endpoint).allow_requeue(true);
    let builder = builder.batch_size(4).batch_timeout(Duration::from_millis(200));
    let listening = builder.attempts_max(2).start().await.unwrap();
    eventually(|| listening.stats().handled == 3 && listening.stats().dropped == 1);
    listening.wait().await.unwrap();
    let mut batches = batches.lock().unwrap().clone();
    assert_eq!(batches.remove(0), [0, 1, 2, 3]);
    batches.sort();
    assert_eq!(
        batches,
        [[0], [1], [2], [2], [3]],
        "the second attempt is alone, and only the failing one is dropped"
    );
    transport.close().await.unwrap();
}

async fn what_is_no_payload_of_a_batch_fails_alone(url: String) {
    let transport = connect(&url).await;
    let batches = Batches::default();
    let seen = Arc::clone(&batches);
    let endpoint = NotificationEndpoint::new().async_on_batch(
        Priority::Info,
        move |batch: Vec<Notification<i64>>| {
            seen.lock().unwrap().push(batch.iter().map(|one| one.payload).collect());
            std::future::ready(())
        },
    );
    let notifier = notifier(&transport, "t");
    for payload in [json!(1), json!("no number"), json!(3), json!(null)] {
        notifier.info((), "ev", &payload).await.unwrap();
    }
    let builder = listener(&transport, "t").endpoint(endpoint).allow_requeue(true);
    let listening = builder.attempts_max(1).batch_size(4).start().await.unwrap();
    eventually(|| listening.stats().handled == 2 && listening.stats().dropped == 2);
    listening.wait().await.unwrap();
    assert_eq!(*batches.lock().unwrap(), [[1, 3]]);
    transport.close().await.unwrap();
}

async fn a_short_failure_loses_nothing(url: String) {
    let transport = connect(&url).await;
    let failures = Arc::new(Mutex::new(HashMap::<i64, u32>::new()));
    let seen = Arc::clone(&failures);
    let endpoint = NotificationEndpoint::new().info(move |notification: Notification<i64>| {
        let mut seen = seen.lock().unwrap();
        let times = seen.entry(notification.payload).or_default();
        *times += 1;
        if *times < 4 { Err("the database is away") } else { Ok(()) }
    });
    let builder = listener(&transport, "t").endpoint(endpoint).allow_requeue(true);
    let listening = builder.attempts_max(None).start().await.unwrap();
    let notifier = notifier(&transport, "t");
    for number in 0..100 {
        notifier.info((), "ev", &number).await.unwrap();
    }
    eventually(|| listening.stats().handled == 100);
    assert_eq!((listening.stats().dropped, listening.stats().requeued), (0, 300));
    listening.wait().await.unwrap();
    transport.close().await.unwrap();
}

async fn async_functions_do_not_run_inline(url: String) {
    let transport = connect(&url).await;
    let endpoint = NotificationEndpoint::new()
        .async_on(Priority::Info, |_: Notification| std::future::ready(()));
    let builder = listener(&transport, "t").endpoint(endpoint).executor(Executor::Inline);
    let error = builder.start().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ExecutorLoadFailure, "{error}");
    transport.close().await.unwrap();
}

#[test]
fn a_lost_connection_doubles_nothing() {
    let broker = Loopback::start(LoopbackConfig::default()).unwrap();
    let url = format!("rabbit://guest:guest@127.0.0.1:{}/", broker.addr().port());
    run(async {
        let transport = connect(&url).await;
        let received = Received::default();
        let record = received.recorder();
        let endpoint = NotificationEndpoint::new().on_batch(
            Priority::Info,
            move |batch: Vec<Notification>| {
                batch.into_iter().for_each(&record);
            },
        );
        let builder = listener(&transport, "t").endpoint(endpoint).batch_size(100);
        let listening = builder.start().await.unwrap();
        let notifier = notifier(&transport, "t");
        for number in 0..30 {
            notifier.info((), "ev", &number).await.unwrap();
        }
        tokio::task::block_in_place(|| {
            let waiting = || transport.metrics().heard.waiting;
            eventually(|| waiting() == 30);
            broker.drop_connections();
            eventually(|| listening.stats().reconnects == 1 && waiting() == 60);
        });
        assert_eq!(received.len(), 0, "no batch is full");
        listening.wait().await.unwrap();
        let mut numbers = received.numbers(30);
        numbers.sort_unstable();
        assert_eq!(numbers, (0..30).collect::<Vec<_>>(), "each once");
        assert_eq!(listening.stats().handled, 30);
        transport.close().await.unwrap();
    });
}
