//! A cluster that loses the node with the connections and with the leaders of the quorum queues.
//!
//! RabbitMQ 3.10 negatively acknowledges publications before the election of a new leader. On a
//! channel opened before the election it refuses everything after it too, because the channel never
//! learns of the new leader.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use leveret::Error;
use leveret_support::Broker;
use serde_json::{Value, json};
use tokio::task::block_in_place;

use super::{BACK, Cluster, Service};
use crate::support::fixture::run;

/// How long the senders continue after the kill of the node.
const SENDING: Duration = Duration::from_secs(10);
/// Messages of each kind that may fail: those in flight at the kill.
const FEW: usize = 3;
/// Time before the kill after which a message is surely confirmed.
const CONFIRMED: Duration = Duration::from_millis(200);
/// Pause between two messages of a sender: the nodes share the processors with the test.
const PAUSE: Duration = Duration::from_millis(5);

/// The results of one sender's messages.
#[derive(Default)]
struct Sent {
    /// The accepted messages, with the time each was sent.
    accepted: Vec<(Instant, Value)>,
    failed: Vec<(Instant, Error)>,
}

/// Sends notes one after the other until `is_over` is set.
fn sender(
    kind: &'static str,
    is_over: &Arc<AtomicBool>,
    send: impl Fn(&Value) -> Result<(), Error> + Send + 'static,
) -> JoinHandle<Sent> {
    let is_over = Arc::clone(is_over);
    std::thread::spawn(move || {
        let mut sent = Sent::default();
        for number in 0.. {
            if is_over.load(Ordering::Relaxed) {
                break;
            }
            let (note, begun) = (json!(format!("{kind} {number}")), Instant::now());
            match send(&note) {
                Ok(()) => sent.accepted.push((begun, note)),
                Err(error) => sent.failed.push((begun, error)),
            }
            std::thread::sleep(PAUSE);
        }
        sent
    })
}

/// Starts a sender of every kind; calls leave no notes.
fn senders(service: &Service, is_over: &Arc<AtomicBool>) -> Vec<(&'static str, JoinHandle<Sent>)> {
    let client = || service.client.clone();
    let (calling, casting, fanning) = (client(), client(), client().with_fanout(true));
    let (buffering, notifier) = (client(), service.notifier.clone());
    let args = |note: &Value| json!({ "arg": note });
    vec![
        (
            "call",
            sender("call", is_over, move |note| {
                calling
                    .call_blocking::<Value>((), "echo", &args(note))
                    .map(|echo| assert_eq!(echo, *note))
            }),
        ),
        (
            "cast",
            sender("cast", is_over, move |note| casting.cast_blocking((), "note", &args(note))),
        ),
        (
            "fanout",
            sender("fanout", is_over, move |note| fanning.cast_blocking((), "note", &args(note))),
        ),
        (
            "buffered cast",
            sender("buffered", is_over, move |note| {
                buffering.cast_buffered_blocking((), "note", &args(note))
            }),
        ),
        (
            "notification",
            sender("notification", is_over, move |note| {
                notifier.info_blocking((), note.as_str().unwrap(), &())
            }),
        ),
    ]
}

/// Starts a service with every connection, and the leaders of its queues, on the first node.
async fn at_first_node(cluster: &Cluster, vhost: &str) -> Service {
    let options = "?rabbit_quorum_queue=true&rabbit_transient_quorum_queue=true\
                   &rabbit_interval_max=1";
    let [first, rest @ ..] = cluster.nodes() else { panic!("a cluster has nodes") };
    block_in_place(|| rest.iter().for_each(Broker::stop_listening));
    let service = Service::start(&(cluster.url(vhost) + options)).await;
    service.works_within(2 * BACK).await;
    block_in_place(|| {
        assert!(first.connections_here() > 0);
        rest.iter().for_each(Broker::resume_listening);
    });
    service
}

#[test]
fn messages_pass_after_the_leader_of_their_queues_has_died() {
    let cluster = Cluster::lock();
    cluster.add_vhost("quorum");
    run(async {
        let service = at_first_node(&cluster, "quorum").await;
        let is_over = Arc::new(AtomicBool::new(false));
        let senders = senders(&service, &is_over);
        tokio::time::sleep(Duration::from_secs(1)).await;
        block_in_place(|| cluster.nodes()[0].kill());
        let killed = Instant::now();
        tokio::time::sleep(SENDING).await;
        is_over.store(true, Ordering::Relaxed);
        let mut problems = Vec::new();
        for (kind, sender) in senders {
            let sent = block_in_place(|| sender.join().unwrap());
            problems.extend(check(&service, kind, &sent, killed).await);
        }
        assert!(problems.is_empty(), "{}", problems.join("\n"));
        service.works_within(BACK).await;
        block_in_place(|| cluster.nodes()[0].restart());
        service.stop().await;
    });
}

/// Checks the results of one sender's messages; returns the problem, if there is one.
async fn check(service: &Service, kind: &str, sent: &Sent, killed: Instant) -> Option<String> {
    let (accepted, failed) = (sent.accepted.len(), sent.failed.len());
    let late = sent.failed.iter().filter(|(begun, _)| *begun > killed + BACK).count();
    if failed > FEW || late > 0 {
        let (begun, error) = sent.failed.last().unwrap();
        let after = begun.saturating_duration_since(killed);
        return Some(format!(
            "{kind}: {failed} failed ({late} after {BACK:?}), {accepted} did not; the last one \
             after {after:?}: {error}"
        ));
    }
    if kind == "call" {
        return None;
    }
    // Buffered casts in flight may be lost; the transport counts them then.
    let is_buffered = kind == "buffered cast";
    let is_certain =
        |begun: Instant| !is_buffered || begun < killed - CONFIRMED || begun > killed + BACK;
    let certain = sent.accepted.iter().filter(|(begun, _)| is_certain(*begun));
    let certain: Vec<Value> = certain.map(|(_, note)| note.clone()).collect();
    if let Err(missing) = service.notes.include(&certain, BACK).await {
        return Some(format!("{kind}: accepted, and {missing}"));
    }
    let notes = service.notes.all();
    let lost = sent.accepted.iter().filter(|(_, note)| !notes.contains(note)).count();
    let counted = service.sending.stats().casts_refused;
    (lost as u64 > counted).then(|| format!("{kind}: {lost} are lost, {counted} are counted"))
}
