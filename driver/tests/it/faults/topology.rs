//! Exchanges that an operator deletes under a client and a server; their bindings are deleted with
//! them.
//!
//! Not here: a server on its own transport, which notices it by its audit (`health`).

use std::time::{Duration, Instant};

use leveret::{ErrorKind, Notifier, Outcome, Retry};
use leveret_support::Broker;
use serde_json::{Value, json};
use tokio::task::{JoinSet, block_in_place};

use super::{BACK, Service, listener};
use crate::support::fixture::{Notes, connect, echo, run};

/// Deadline of the messages.
const DEADLINE: Duration = Duration::from_secs(5);

/// Deletes an exchange under a service and runs `act`; then everything works.
async fn without(exchange: &str, name: &str, act: impl AsyncFnOnce(&Service)) {
    let url = Broker::shared().vhost(name);
    deleted(&url, exchange, act).await;
}

async fn deleted(url: &str, exchange: &str, act: impl AsyncFnOnce(&Service)) {
    let service = Service::start(url).await;
    service.works_within(BACK).await;
    block_in_place(|| Broker::shared().delete_exchange(url, exchange));
    act(&service).await;
    service.works_within(BACK).await;
    let reconnects = service.sending.stats().reconnects + service.server.stats().reconnects;
    assert_eq!(reconnects, 0, "no connection is lost");
    service.stop().await;
}

/// Waits for a note that is sent only once.
async fn arrives(service: &Service, note: Value) {
    let arrived = service.notes.include(&[note], DEADLINE).await;
    arrived.unwrap_or_else(|missing| panic!("the note was sent, and {missing}"));
}

#[test]
fn a_call_finds_its_server_when_the_exchange_was_deleted() {
    run(without("openstack", "deleted_for_call", async |service: &Service| {
        let begun = Instant::now();
        let client = service.client.prepare().with_timeout(DEADLINE);
        assert_eq!(echo(&client, json!("call")).await, "call");
        assert!(begun.elapsed() < DEADLINE / 2, "{:?}", begun.elapsed());
    }));
}

#[test]
fn a_cast_finds_its_server_when_the_exchange_was_deleted() {
    run(without("openstack", "deleted_for_cast", async |service: &Service| {
        let client = service.client.prepare().with_timeout(DEADLINE);
        client.cast((), "note", &json!({"arg": "one"})).await.unwrap();
        arrives(service, json!("one")).await;
    }));
}

#[test]
fn a_buffered_cast_finds_its_server_or_is_counted_when_the_exchange_was_deleted() {
    run(without("openstack", "deleted_for_buffered", async |service: &Service| {
        let client = service.client.prepare().with_timeout(DEADLINE);
        client.cast_buffered((), "note", &json!({"arg": "one"})).await.unwrap();
        let begun = Instant::now();
        let is_settled = || {
            service.notes.all().contains(&json!("one"))
                || service.sending.stats().casts_refused == 1
        };
        while !is_settled() {
            assert!(begun.elapsed() < DEADLINE, "the cast is neither executed nor counted");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }));
}

#[test]
fn a_fanout_finds_its_servers_when_the_exchange_was_deleted() {
    run(without("t_fanout", "deleted_for_fanout", async |service: &Service| {
        let all = service.client.prepare().with_fanout(true).with_timeout(DEADLINE);
        all.cast((), "note", &json!({"arg": "one"})).await.unwrap();
        arrives(service, json!("one")).await;
    }));
}

#[test]
fn a_notification_finds_its_listener_when_the_exchange_was_deleted() {
    run(without("openstack", "deleted_for_notification", async |service: &Service| {
        service.notifier.info((), "one", &()).await.unwrap();
        arrives(service, json!("one")).await;
    }));
}

/// RabbitMQ confirms and drops a message without a binding, unless it is mandatory. The retry
/// setting does not matter, because no consumer has the message.
#[test]
fn a_notification_finds_its_listener_when_the_binding_was_deleted() {
    let broker = Broker::shared();
    let url = broker.vhost("unbound_for_notification");
    run(async {
        let service = Service::start(&url).await;
        service.works_within(BACK).await;
        for retry in [Retry::UntilDeadline, Retry::Times(1), Retry::Never] {
            block_in_place(|| broker.delete_bindings(&url));
            let notifier = service.notifier.clone().with_retry(retry);
            for event in ["one", "two"] {
                let event = format!("{event} {retry:?}");
                notifier.info((), &event, &()).await.unwrap();
                arrives(&service, json!(event)).await;
            }
        }
        service.stop().await;
    });
}

/// The notification waits for the next listener, although the queue it was sent to is deleted.
#[test]
fn a_notification_is_kept_when_its_queue_was_deleted() {
    let broker = Broker::shared();
    let url = broker.vhost("unqueued_for_notification");
    run(async {
        let transport = connect(&url).await;
        let notifier = Notifier::builder(&transport).topic("happened").build();
        notifier.info((), "lost with its queue", &()).await.unwrap();
        block_in_place(|| broker.delete_queues(&url));
        let mut sent = JoinSet::new();
        let all: Vec<Value> = (0..100).map(|number| json!(format!("event {number}"))).collect();
        for event in all.clone() {
            let notifier = notifier.clone();
            sent.spawn(async move { notifier.info((), event.as_str().unwrap(), &()).await });
        }
        sent.join_all().await.into_iter().collect::<Result<(), _>>().unwrap();
        let notes = Notes::default();
        let listener = listener(&transport, &notes).await;
        notes.include(&all, DEADLINE).await.unwrap();
        assert_eq!(notes.all().len(), all.len(), "each arrives once");
        listener.wait().await.unwrap();
        transport.close().await.unwrap();
    });
}

/// A message without retries is refused for certain; its failure restores the exchange for the next
/// one.
#[test]
fn what_is_never_repeated_is_refused_when_the_exchange_was_deleted() {
    run(without("openstack", "deleted_for_never", async |service: &Service| {
        let once = service.client.prepare().with_retry(Retry::Never).with_timeout(DEADLINE);
        let begun = Instant::now();
        let error = once.cast((), "note", &json!({"arg": "first"})).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::MessageDeliveryFailure, "{error}");
        assert!(error.to_string().contains("404"), "{error}");
        assert_ne!(error.outcome(), Some(Outcome::MaybeSent), "the refusal is definite: {error}");
        assert!(begun.elapsed() < DEADLINE / 2, "{:?}", begun.elapsed());
        let begun = Instant::now();
        while let Err(error) = once.call::<Value>((), "echo", &json!({"arg": "next"})).await {
            assert!(begun.elapsed() < DEADLINE, "the exchange is not declared again: {error}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(!service.notes.all().contains(&json!("first")), "the first was refused");
    }));
}

/// The same in the `pika` dialect, where an exchange is deleted with its last binding.
#[test]
fn exchanges_of_the_pika_dialect_are_made_again() {
    run(async {
        let mut broken = Vec::new();
        for exchange in ["openstack_rpc", "openstack_rpc_reply", "openstack_notification"] {
            let url = Broker::shared().vhost(exchange).replacen("rabbit", "pika", 1);
            let service = Service::start(&url).await;
            service.works_within(BACK).await;
            block_in_place(|| Broker::shared().delete_exchange(&url, exchange));
            let client = service.client.prepare().with_timeout(DEADLINE);
            match exchange {
                "openstack_notification" => {
                    if let Err(error) = service.notifier.info((), "one", &()).await {
                        broken.push(format!("{exchange}: {error}"));
                    }
                }
                _ => {
                    let args = json!({"arg": "call"});
                    if let Err(error) = client.call::<Value>((), "echo", &args).await {
                        broken.push(format!("{exchange}: {error}"));
                    }
                }
            }
        }
        assert!(broken.is_empty(), "{broken:?}");
    });
}
