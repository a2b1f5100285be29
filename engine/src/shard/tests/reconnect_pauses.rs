//! Checks the pauses before a connection that keeps ending is reopened.

use std::rc::Rc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::broker::Broker;
use super::open;
use crate::handles::engine::Engine;
use crate::reactor::sim::{Faults, PeerEnd, Sim};
use crate::shard::run::Shard;

/// Number of connections in a run.
const CONNECTIONS: usize = 20;

/// Ends every connection after `life`. Returns the times from each end to the next connection.
async fn pauses(life: Duration) -> Vec<Duration> {
    let (sim, accepted) = Sim::new(1, Faults::NONE);
    let ending = tokio::task::spawn_local(end_each(accepted, life));
    let (shard, handle) = Shard::new(Duration::ZERO);
    let running = tokio::task::spawn_local(shard.serve(sim));
    let engine = Engine::with_shard(handle, crate::reactor::BackendKind::Epoll);
    let connected = open(&engine).await;
    let pauses = ending.await.unwrap();
    drop(connected);
    engine.stop();
    running.await.unwrap();
    pauses
}

async fn end_each(mut accepted: mpsc::UnboundedReceiver<PeerEnd>, life: Duration) -> Vec<Duration> {
    let broker = Broker::new(1);
    let mut ended: Option<Instant> = None;
    let mut pauses = Vec::new();
    while pauses.len() < CONNECTIONS {
        let far = accepted.recv().await.expect("the shard goes on");
        pauses.extend(ended.map(|ended| ended.elapsed()));
        let _ = timeout(life, Rc::clone(&broker).serve(far)).await;
        ended = Some(Instant::now());
    }
    pauses
}

fn run_in_virtual_time<T>(run: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, run)
}

#[test]
fn a_stable_connection_reconnects_at_once() {
    let pauses = run_in_virtual_time(pauses(Duration::from_millis(1500)));
    assert!(pauses.iter().all(|pause| *pause < Duration::from_millis(50)), "{pauses:?}");
}

#[test]
fn unstable_connections_reconnect_with_growing_pauses() {
    let pauses = run_in_virtual_time(pauses(Duration::from_millis(500)));
    let sum: Duration = pauses.iter().sum();
    assert!(sum > Duration::from_secs(10), "{pauses:?}");
}
