//! Faults of brokers, operators and peers under a working transport: it recovers from all of them,
//! and every error states what is known.
//!
//! Each module has one kind of fault. Most of them disturb a `Service`: every operation of a
//! transport, checked as a whole. Not here: connections cut at a given octet (`recovery::cuts`),
//! and oslo's failover tests (`functional::faults`).

mod consumers;
mod credentials;
mod health;
mod hosts;
mod openings;
mod quorum;
mod refusals;
mod stopping;
mod topology;

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use leveret::{
    Error, Notification, NotificationEndpoint, NotificationListener, Notifier, Retry, RpcClient,
    RpcServer, Target, Transport,
};
use leveret_support::Broker;
use serde_json::{Value, json};

use crate::support::fixture::{Notes, client, connect, endpoint, eventually, server};

/// Longest time until a transport works again after the cause of an outage ends.
pub(super) const BACK: Duration = Duration::from_secs(6);

/// A server, a listener, a client and a notifier.
pub(super) struct Service {
    pub(super) serving: Transport,
    pub(super) sending: Transport,
    pub(super) server: RpcServer,
    pub(super) listener: NotificationListener,
    pub(super) client: RpcClient,
    pub(super) notifier: Notifier,
    pub(super) notes: Notes,
    rounds: AtomicU64,
}

impl Service {
    /// Starts everything on one transport.
    pub(super) async fn start(url: &str) -> Self {
        let transport = connect(url).await;
        Self::between(transport.clone(), transport).await
    }

    /// Starts server and listener on one transport, client and notifier on another.
    pub(super) async fn between(serving: Transport, sending: Transport) -> Self {
        let notes = Notes::default();
        let server = server(&serving, "t", "s", &notes).await;
        let listener = listener(&serving, &notes).await;
        let client = client(&sending, "t");
        let notifier = Notifier::builder(&sending).topic("happened").retry(Retry::UntilDeadline);
        let (notifier, rounds) = (notifier.build(), AtomicU64::new(0));
        Self { serving, sending, server, listener, client, notifier, notes, rounds }
    }

    /// Sends messages of every kind until all of one round arrive; fails after `limit`.
    pub(super) async fn works_within(&self, limit: Duration) {
        let begun = Instant::now();
        loop {
            let round = self.rounds.fetch_add(1, Ordering::Relaxed);
            let Err(missing) = self.try_round(round).await else { return };
            let elapsed = begun.elapsed();
            assert!(elapsed < limit, "not working after {elapsed:?}: {missing}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Sends one message of every kind; the error names the one that fails or does not arrive.
    async fn try_round(&self, round: u64) -> Result<(), String> {
        let patience = Duration::from_secs(1);
        let failed = |kind: &'static str| move |error: Error| format!("{kind}: {error}");
        let hasty = self.client.prepare().with_timeout(patience);
        let arg = |kind: &str| json!({ "arg": format!("{kind} {round}") });
        let answer: Value = hasty.call((), "echo", &arg("call")).await.map_err(failed("call"))?;
        assert_eq!(answer, arg("call")["arg"]);
        hasty.cast((), "note", &arg("cast")).await.map_err(failed("cast"))?;
        let named = hasty.prepare().with_server("s");
        named.cast((), "note", &arg("named")).await.map_err(failed("named"))?;
        let all = hasty.prepare().with_fanout(true);
        all.cast((), "note", &arg("fanout")).await.map_err(failed("fanout"))?;
        hasty.cast_buffered((), "note", &arg("buffered")).await.map_err(failed("buffered"))?;
        let event = format!("event {round}");
        let notified = self.notifier.info((), &event, &());
        let notified = tokio::time::timeout(patience, notified).await;
        let notified = notified.map_err(|_| "notification: it takes too long".to_owned())?;
        notified.map_err(failed("notification"))?;
        let mut expected: Vec<Value> =
            ["cast", "named", "fanout", "buffered"].map(|kind| arg(kind)["arg"].clone()).into();
        expected.push(json!(event));
        self.notes.include(&expected, patience).await
    }

    /// Stops everything in order.
    pub(super) async fn stop(self) {
        self.server.wait().await.unwrap();
        self.listener.wait().await.unwrap();
        self.sending.close().await.unwrap();
        self.serving.close().await.unwrap();
    }
}

impl Notes {
    /// Waits until the server has these notes; the error names the missing one.
    pub(super) async fn include(&self, expected: &[Value], limit: Duration) -> Result<(), String> {
        let begun = Instant::now();
        loop {
            let all: HashSet<String> = self.all().iter().map(ToString::to_string).collect();
            let missing = expected.iter().find(|one| !all.contains(&one.to_string()));
            match missing {
                None => return Ok(()),
                Some(one) if begun.elapsed() > limit => {
                    return Err(format!("{one} does not arrive"));
                }
                Some(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    }
}

/// Starts a listener on topic `happened` that notes the types of events.
pub(super) async fn listener(transport: &Transport, notes: &Notes) -> NotificationListener {
    let heard = notes.clone();
    let endpoint = NotificationEndpoint::new()
        .info(move |notification: Notification| heard.add(json!(notification.event_type)));
    let target = Target::new("happened");
    NotificationListener::builder(transport, target).endpoint(endpoint).start().await.unwrap()
}

/// Starts a server named `s` on a topic.
pub(super) async fn start_server(
    transport: &Transport,
    topic: &str,
    notes: &Notes,
) -> Result<RpcServer, Error> {
    let builder = RpcServer::builder(transport, Target::new(topic).with_server("s"));
    builder.endpoint(endpoint("s", notes)).start().await
}

/// Waits until `holds` returns true; returns how long it took, or an error after `limit`.
pub(super) fn within(
    limit: Duration,
    mut holds: impl FnMut() -> bool,
) -> Result<Duration, Duration> {
    let begun = Instant::now();
    while !holds() {
        if begun.elapsed() > limit {
            return Err(begun.elapsed());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(begun.elapsed())
}

/// Returns the virtual host of a URL.
pub(super) fn vhost_of(url: &str) -> &str {
    url.rsplit('/').next().unwrap()
}

/// Three nodes, one test at a time.
pub(super) struct Cluster(MutexGuard<'static, Vec<Broker>>);

impl Cluster {
    /// Locks the cluster of these tests; all nodes run and listen.
    pub(super) fn lock() -> Self {
        static CLUSTER: OnceLock<Mutex<Vec<Broker>>> = OnceLock::new();
        let nodes = CLUSTER.get_or_init(|| Mutex::new(Broker::cluster(3)));
        let nodes = nodes.lock().unwrap_or_else(PoisonError::into_inner);
        // A failed test may have left a node stopped.
        nodes.iter().filter(|node| !node.is_running()).for_each(Broker::restart);
        for node in nodes.iter() {
            node.resume_listening();
            node.await_whole(nodes.len());
        }
        Self(nodes)
    }

    pub(super) fn nodes(&self) -> &[Broker] {
        &self.0
    }

    /// Adds a virtual host; returns when every node has it.
    pub(super) fn add_vhost(&self, name: &str) {
        self.0[0].add_vhost(name);
        let is_up = format!("rabbit_vhost_sup_sup:is_vhost_alive(<<\"{name}\">>).");
        eventually(|| self.0.iter().all(|node| node.eval(&is_up) == "true"));
    }

    /// Returns a URL that names every node.
    pub(super) fn url(&self, vhost: &str) -> String {
        let host = |node: &Broker| format!("guest:guest@127.0.0.1:{}", node.port());
        let hosts: Vec<String> = self.0.iter().map(host).collect();
        format!("rabbit://{}/{vhost}", hosts.join(","))
    }
}
