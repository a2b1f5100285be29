//! `notify.test_logger.LoggingNotificationHandlerTestCase`.

use std::sync::{Arc, Mutex};

use leveret::{
    Notification, NotificationDriver, NotificationEndpoint, NotificationLayer,
    NotificationListener, Notifier, Priority, Target,
};
use tracing_subscriber::prelude::*;

use crate::support::every_broker::on_every_broker;
use crate::support::fixture::{connect, eventually};

on_every_broker! {
    test_logging
}

/// All levels, by both drivers.
async fn test_logging(url: String) {
    let transport = connect(&url).await;
    let heard: Arc<Mutex<Vec<Notification>>> = Arc::default();
    let endpoint = Priority::ALL.into_iter().fold(NotificationEndpoint::new(), |all, one| {
        let heard = Arc::clone(&heard);
        all.on(one, move |one| heard.lock().unwrap().push(one))
    });
    let listener = NotificationListener::builder(&transport, Target::new("t")).endpoint(endpoint);
    let listener = listener.start().await.unwrap();
    for (driver, blocks) in
        [(NotificationDriver::Messaging, true), (NotificationDriver::MessagingV2, false)]
    {
        let notifier = Notifier::builder(&transport).topic("t").driver(driver).build();
        let (layer, guard) = NotificationLayer::new(notifier).unwrap();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::debug!(target: "svc", "debug");
            tracing::info!(target: "svc", "info");
            tracing::warn!(target: "svc", "warn");
            tracing::error!(target: "svc", number = 7, "error");
            tracing::error!(target: "svc", priority = "critical", "critical");
            tracing::info!(target: "leveret::anything", "is none of its business");
        });
        assert_eq!(guard.dropped(), 0);
        match blocks {
            true => tokio::task::spawn_blocking(move || drop(guard)).await.unwrap(),
            false => guard.finish().await,
        }
        eventually(|| heard.lock().unwrap().len() >= 5);
        let mut all = std::mem::take(&mut *heard.lock().unwrap());
        all.sort_by_key(|one| one.priority);
        let levels = [10, 20, 30, 40, 40];
        let names = ["debug", "info", "warn", "error", "critical"];
        assert_eq!(all.len(), 5);
        for ((one, level), name) in all.iter().zip(levels).zip(names) {
            assert_eq!((one.event_type.as_str(), one.priority.as_str()), ("logrecord", name));
            let record = one.payload.as_object().unwrap();
            for key in ["process", "funcName", "name", "thread", "levelno", "processName"]
                .into_iter()
                .chain(["pathname", "lineno", "msg", "exc_info", "levelname", "extra"])
            {
                assert!(record.contains_key(key), "{key} in {record:?}");
            }
            assert_eq!((&record["msg"], &record["levelno"]), (&name.into(), &level.into()));
            assert_eq!(record["name"], "svc");
        }
        assert_eq!(all[3].payload["extra"]["number"], 7);
    }
    listener.wait().await.unwrap();
    transport.close().await.unwrap();
}
