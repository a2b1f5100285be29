//! Batches, and notifications that endpoints requeue, on every broker.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use leveret::{Notification, NotificationEndpoint, NotificationResult, Priority};

use crate::notify::delivery::{Received, listener, notifier};
use crate::support::every_broker::on_every_broker;
use crate::support::fixture::{connect, eventually};

on_every_broker! {
    batches_are_full_or_late
    what_is_requeued_comes_again
    what_is_not_to_be_requeued_is_gone
    one_requeue_is_that_of_its_batch
}

async fn batches_are_full_or_late(url: String) {
    let transport = connect(&url).await;
    let sizes = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&sizes);
    let endpoint = NotificationEndpoint::new().on_batch(
        Priority::Info,
        move |batch: Vec<Notification<i64>>| {
            seen.lock().unwrap().push(batch.len());
        },
    );
    let notifier = notifier(&transport, "t");
    // A listener declares the queue; the broker delivers its contents in one go to the next
    // listener.
    for number in 0..205 {
        notifier.info((), "ev", &number).await.unwrap();
    }
    let listening = listener(&transport, "t")
        .endpoint(endpoint)
        .batch_size(100)
        .batch_timeout(Duration::from_secs(2))
        .start()
        .await
        .unwrap();
    eventually(|| listening.stats().handled == 205);
    assert_eq!(*sizes.lock().unwrap(), [100, 100, 5]);
    listening.wait().await.unwrap();
    transport.close().await.unwrap();
}

async fn what_is_requeued_comes_again(url: String) {
    let transport = connect(&url).await;
    let times = Arc::new(Mutex::new(0));
    let endpoint = {
        let times = Arc::clone(&times);
        NotificationEndpoint::new().info(move |_: Notification| {
            let mut times = times.lock().unwrap();
            *times += 1;
            if *times < 20 { NotificationResult::Requeue } else { NotificationResult::Handled }
        })
    };
    let builder = listener(&transport, "t").endpoint(endpoint).allow_requeue(true);
    let listening = builder.attempts_max(1).start().await.unwrap();
    notifier(&transport, "t").info((), "ev", &1).await.unwrap();
    eventually(|| listening.stats().handled == 1);
    assert_eq!(*times.lock().unwrap(), 20, "as often as requested, above the failure limit");
    listening.wait().await.unwrap();
    let stats = listening.stats();
    assert_eq!((stats.requeued, stats.dropped, stats.duplicates), (19, 0, 0));
    transport.close().await.unwrap();
}

async fn what_is_not_to_be_requeued_is_gone(url: String) {
    let transport = connect(&url).await;
    let received = Received::default();
    let record = received.recorder();
    let endpoint = NotificationEndpoint::new().info(move |notification: Notification| {
        let number = notification.payload.as_i64();
        record(notification);
        match number {
            Some(1) => Ok(NotificationResult::Requeue),
            Some(2) => Err("failed"),
            Some(3) => panic!("on purpose"),
            _ => Ok(NotificationResult::Handled),
        }
    });
    let listening = listener(&transport, "t").endpoint(endpoint).start().await.unwrap();
    let notifier = notifier(&transport, "t");
    for number in 0..5 {
        notifier.info((), "ev", &number).await.unwrap();
    }
    eventually(|| listening.stats().handled + listening.stats().dropped == 5);
    listening.wait().await.unwrap();
    assert_eq!((received.len(), listening.stats().dropped, listening.stats().requeued), (5, 3, 0));
    transport.close().await.unwrap();
}

async fn one_requeue_is_that_of_its_batch(url: String) {
    let transport = connect(&url).await;
    let batches = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&batches);
    let endpoint = NotificationEndpoint::new().on_batch(
        Priority::Info,
        move |batch: Vec<Notification<i64>>| {
            let mut seen = seen.lock().unwrap();
            seen.push(batch.len());
            if seen.len() == 1 { NotificationResult::Requeue } else { NotificationResult::Handled }
        },
    );
    let notifier = notifier(&transport, "t");
    for number in 0..4 {
        notifier.info((), "ev", &number).await.unwrap();
    }
    let builder = listener(&transport, "t").endpoint(endpoint).allow_requeue(true);
    let listening = builder.batch_size(4).start().await.unwrap();
    eventually(|| listening.stats().handled == 4);
    assert_eq!(*batches.lock().unwrap(), [4, 4]);
    assert_eq!(listening.stats().requeued, 4);
    listening.wait().await.unwrap();
    transport.close().await.unwrap();
}
