//! A broker that refuses every login for a while: the user or the virtual host is deleted and added
//! again, as in a password rotation, a directory outage, or an import of definitions.

use std::time::{Duration, Instant};

use leveret::{ConnectionHealth, ConnectionState, Error};
use leveret_support::{ALL, Broker};
use serde_json::{Value, json};
use tokio::task::block_in_place;

use super::{BACK, Service, vhost_of};
use crate::support::fixture::{client, echo, run};

/// How long the broker refuses every login.
const AWAY: Duration = Duration::from_secs(3);

/// Checks that a service survives the fault between `begin` and `end`. Errors in between contain
/// `code`.
async fn outlasts(url: &str, code: &str, begin: impl FnOnce(), end: impl FnOnce()) {
    let service = Service::start(url).await;
    service.works_within(BACK).await;
    block_in_place(begin);
    let begun = Instant::now();
    let (mut called, mut cast) = (None, None);
    while begun.elapsed() < AWAY {
        called = in_time(&service, true).await.or(called);
        cast = in_time(&service, false).await.or(cast);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for (kind, error) in [("call", called), ("cast", cast)] {
        let error =
            error.unwrap_or_else(|| panic!("a {kind} succeeds while the broker refuses logins"));
        assert!(error.to_string().contains(code), "the error of the {kind} has no reason: {error}");
    }
    let mut connections = service.serving.health().connections;
    connections.extend([service.server.health(), service.listener.health()].map(|h| h.connection));
    connections.iter().for_each(|connection| is_trying(connection, code));
    assert!(!service.serving.health().is_ready() && !service.server.health().is_ready());
    block_in_place(end);
    service.works_within(BACK).await;
    assert_eq!(
        echo(&client(&service.sending, "t"), json!("another client")).await,
        "another client"
    );
    assert!(service.serving.health().is_ready() && service.server.health().is_ready());
    service.stop().await;
}

/// Sends one call or one cast, which ends by its deadline; returns its error.
async fn in_time(service: &Service, is_call: bool) -> Option<Error> {
    let (patience, begun) = (Duration::from_millis(300), Instant::now());
    let hasty = service.client.prepare().with_timeout(patience);
    let args = json!({ "arg": "away" });
    let result = match is_call {
        true => hasty.call::<Value>((), "echo", &args).await.map(drop),
        false => hasty.cast((), "echo", &args).await,
    };
    let elapsed = begun.elapsed();
    assert!(elapsed < patience + Duration::from_millis(700), "{elapsed:?}: {result:?}");
    result.err()
}

/// Checks that a refused connection keeps trying, and reports why it is not open.
fn is_trying(connection: &ConnectionHealth, code: &str) {
    assert_eq!(connection.state, ConnectionState::Connecting, "{connection:?}");
    let reason = connection.last_error.as_ref().map(ToString::to_string);
    assert!(reason.is_some_and(|reason| reason.contains(code)), "{connection:?}");
}

#[test]
fn a_deleted_user_that_is_added_again_is_let_in() {
    let broker = Broker::shared();
    let url = broker.vhost("credentials");
    let user = format!("user-{}", vhost_of(&url));
    let as_user = broker.url_for(&user, &url, ALL);
    let begin = || {
        broker.delete_user(&user);
        broker.close_connections_by(&user);
    };
    let end = || {
        broker.add_user(&user);
        broker.set_permissions(&user, &url, ALL);
    };
    run(outlasts(&as_user, "403", begin, end));
}

#[test]
fn a_deleted_virtual_host_that_is_added_again_is_entered_and_declared_anew() {
    let broker = Broker::shared();
    let url = broker.vhost("deleted");
    let vhost = vhost_of(&url);
    run(async {
        outlasts(&url, "530", || broker.delete_vhost(vhost), || broker.add_vhost(vhost)).await;
    });
    let names = broker.queues_of(&url).into_iter().map(|one| one.name);
    // Reply queues expire later.
    let names: Vec<String> = names.filter(|name| !name.starts_with("reply_")).collect();
    assert_eq!(names, ["happened.info", "t", "t.s"], "these queues stay when a service stops");
}
