//! Health, outcomes and options under faults: which consumer waits and why, which messages the
//! broker refused for certain, and how long a deleted exchange can stay unnoticed.

use std::time::{Duration, Instant};

use leveret::{
    ConsumerHealth, ConsumerState, Error, ErrorKind, ListeningHealth, Outcome, Retry, Transport,
};
use leveret_support::{ALL, Broker, NONE};
use serde_json::{Value, json};
use tokio::task::block_in_place;

use super::{BACK, Service, vhost_of, within};
use crate::support::fixture::{Notes, client, connect, run, server};

/// Longest time until health reports a stopped consumer.
const REPORTED: Duration = Duration::from_secs(2);

/// Returns the consumers that wait, by queue, with their reasons.
fn waiting(health: &ListeningHealth) -> Vec<(&str, String)> {
    let waits = |one: &ConsumerHealth| match &one.state {
        ConsumerState::Waiting(reason) => Some(reason.to_string()),
        _ => None,
    };
    health.consumers.iter().filter_map(|one| Some((&*one.queue, waits(one)?))).collect()
}

fn queues(health: &ListeningHealth) -> Vec<&str> {
    let mut queues: Vec<&str> = health.consumers.iter().map(|one| &*one.queue).collect();
    queues.sort_unstable();
    queues
}

#[test]
fn consumers_are_listed_by_their_queues() {
    let url = Broker::shared().vhost("listed");
    run(async {
        let service = Service::start(&url).await;
        let (server, listener) = (service.server.health(), service.listener.health());
        let [t, named, fanout] = queues(&server)[..] else { panic!("{server:?}") };
        assert_eq!((t, named), ("t", "t.s"), "{server:?}");
        assert!(fanout.starts_with("t_fanout_"), "{fanout}");
        assert_eq!(queues(&listener), ["happened.info"]);
        for health in [server, listener] {
            let is_consuming = |one: &ConsumerHealth| matches!(one.state, ConsumerState::Consuming);
            assert!(health.consumers.iter().all(is_consuming), "{health:?}");
            assert!(health.is_ready());
        }
        service.stop().await;
    });
}

/// A server whose consumers wait is not ready: health has the start of each wait, and the broker's
/// reason.
#[test]
fn a_consumer_that_waits_is_told_with_its_queue_and_the_reason() {
    let broker = Broker::shared();
    let url = broker.vhost("waiting");
    let user = format!("user-{}", vhost_of(&url));
    run(async {
        let serving = connect(&broker.url_for(&user, &url, ALL)).await;
        let service = Service::between(serving, connect(&url).await).await;
        service.works_within(BACK).await;
        let begun = Instant::now();
        block_in_place(|| {
            broker.set_permissions(&user, &url, [NONE, ".*", NONE]);
            broker.delete_queues(&url);
        });
        let not_ready =
            || !service.server.health().is_ready() && !service.listener.health().is_ready();
        block_in_place(|| within(REPORTED, not_ready))
            .expect("health reports the waiting consumers");
        tokio::time::sleep(Duration::from_secs(1)).await;
        for (health, count) in [(service.server.health(), 3), (service.listener.health(), 1)] {
            let waiting = waiting(&health);
            assert_eq!(waiting.len(), count, "{health:?}");
            for (queue, reason) in waiting {
                assert!(reason.contains("403"), "{queue}: {reason}");
            }
            for consumer in &health.consumers {
                if consumer.is_ready() {
                    continue;
                }
                let since = consumer.since;
                let waits_for = since.elapsed();
                assert!(waits_for <= begun.elapsed(), "{consumer:?}: {waits_for:?}");
            }
            assert!(health.connection.is_ready(), "the connection itself is ready");
        }
        // Longer than the first series of attempts of a consumer.
        tokio::time::sleep(Duration::from_secs(13).saturating_sub(begun.elapsed())).await;
        assert!(not_ready(), "not ready before every queue has its consumer");
        block_in_place(|| broker.set_permissions(&user, &url, ALL));
        let is_ready =
            || service.server.health().is_ready() && service.listener.health().is_ready();
        block_in_place(|| within(BACK, is_ready)).expect("the consumers are back");
        assert!(waiting(&service.server.health()).is_empty());
        service.works_within(Duration::from_secs(2)).await;
        service.stop().await;
    });
}

/// A transport without a reply queue is not ready.
#[test]
fn a_transport_without_its_reply_queue_is_not_ready() {
    let broker = Broker::shared();
    let url = broker.vhost("replies");
    let user = format!("user-{}", vhost_of(&url));
    run(async {
        let sending = connect(&broker.url_for(&user, &url, ALL)).await;
        let service = Service::between(connect(&url).await, sending).await;
        service.works_within(BACK).await;
        assert!(service.sending.health().is_ready());
        block_in_place(|| {
            broker.set_permissions(&user, &url, [NONE, ".*", NONE]);
            broker.delete_queues(&url);
            within(REPORTED, || !service.sending.health().is_ready())
                .expect("health reports the missing reply queue");
            broker.set_permissions(&user, &url, ALL);
            within(BACK, || service.sending.health().is_ready()).expect("the reply queue is back");
        });
        service.works_within(BACK).await;
        service.stop().await;
    });
}

// ---- outcomes

/// Sends a cast and a call; the broker refuses both for certain.
async fn is_refused(transport: &Transport, retries: &[Retry], args: &Value, code: &str) {
    for retry in retries {
        let client = client(transport, "t").with_retry(*retry);
        let cast = client.cast((), "note", args).await.unwrap_err();
        let call = client.call::<Value>((), "note", args).await.unwrap_err();
        for error in [cast, call] {
            assert_eq!(error.outcome(), Some(Outcome::Refused), "{retry:?}: {error}");
            assert_eq!(error.kind(), ErrorKind::MessageDeliveryFailure, "{retry:?}: {error}");
            assert!(error.to_string().contains(code), "{retry:?}: {error}");
        }
    }
}

const RETRIES: [Retry; 3] = [Retry::Never, Retry::Times(2), Retry::UntilDeadline];

#[test]
fn what_a_user_may_not_write_is_refused() {
    let broker = Broker::shared();
    let url = broker.vhost("outcome_403");
    let user = format!("user-{}", vhost_of(&url));
    run(async {
        let limited = connect(&broker.url_for(&user, &url, [".*", NONE, ".*"])).await;
        is_refused(&limited, &RETRIES, &json!({"arg": 1}), "403").await;
        limited.close().await.unwrap();
    });
}

#[test]
fn what_is_larger_than_the_broker_takes_is_refused() {
    run(async {
        let broker = block_in_place(Broker::start);
        broker.set_max_message_size(100_000);
        let transport = connect(&broker.url()).await;
        let args = json!({ "arg": "x".repeat(200_000) });
        is_refused(&transport, &RETRIES, &args, "406").await;
        transport.close().await.unwrap();
    });
}

#[test]
fn what_finds_no_exchange_and_is_never_repeated_is_refused() {
    let broker = Broker::shared();
    let url = broker.vhost("outcome_404");
    run(async {
        let transport = connect(&url).await;
        let server = server(&transport, "t", "s", &Notes::default()).await;
        let once = client(&transport, "t").with_retry(Retry::Never);
        once.cast((), "none", &()).await.unwrap();
        once.call::<()>((), "none", &()).await.unwrap();
        for is_call in [true, false] {
            block_in_place(|| broker.delete_exchange(&url, "openstack"));
            let error: Error = match is_call {
                true => once.call::<()>((), "none", &()).await.unwrap_err(),
                false => once.cast((), "none", &()).await.unwrap_err(),
            };
            assert_eq!(error.outcome(), Some(Outcome::Refused), "{error}");
            assert!(error.to_string().contains("404"), "{error}");
            let is_back = || once.call_blocking::<()>((), "none", &()).is_ok();
            block_in_place(|| within(BACK, is_back)).expect("the exchange is declared again");
        }
        server.wait().await.unwrap();
        transport.close().await.unwrap();
    });
}

// ---- the audit of what a transport has declared

/// The audit interval of a transport in these tests, and the longest time until an audit is done.
const AUDIT: Duration = Duration::from_secs(2);
const AUDITED: Duration = Duration::from_secs(4);

/// A server on its own transport sees no 404 when its exchange is deleted: an audit restores its
/// bindings within one interval.
#[test]
fn a_server_that_sees_no_error_has_its_bindings_back_after_an_audit() {
    let broker = Broker::shared();
    let url = broker.vhost("audit");
    let audited = format!("{url}?topology_audit_interval={}", AUDIT.as_secs());
    run(async {
        let service = Service::between(connect(&audited).await, connect(&url).await).await;
        service.works_within(BACK).await;
        for exchange in ["openstack", "t_fanout"] {
            block_in_place(|| broker.delete_exchange(&url, exchange));
            service.works_within(AUDITED).await;
        }
        let reconnects = service.server.stats().reconnects + service.listener.stats().reconnects;
        assert_eq!(reconnects, 0, "no connection is lost");
        service.stop().await;
    });
}

/// Only the audit notices a binding that an operator removes.
#[test]
fn a_binding_that_was_removed_is_back_after_an_audit() {
    let broker = Broker::shared();
    let url = broker.vhost("unbound");
    let audited = format!("{url}?topology_audit_interval={}", AUDIT.as_secs());
    run(async {
        let service = Service::start(&audited).await;
        service.works_within(BACK).await;
        block_in_place(|| broker.delete_bindings(&url));
        service.works_within(AUDITED).await;
        service.stop().await;
    });
}

/// An audit that finds no difference changes nothing and disturbs no message.
#[test]
fn an_audit_disturbs_nothing() {
    let url = Broker::shared().vhost("undisturbed");
    let audited = format!("{url}?topology_audit_interval=1");
    run(async {
        let service = Service::start(&audited).await;
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(4) {
            let answer: Value = service.client.call((), "echo", &json!({"arg": 1})).await.unwrap();
            assert_eq!(answer, 1);
        }
        let health = service.server.health();
        assert!(health.is_ready() && health.connection.last_error.is_none(), "{health:?}");
        assert_eq!(health.connection.reconnects, 0);
        service.stop().await;
    });
}
