//! Simulates a whole shard under faults, several hundred times: connections break at random bytes,
//! reads and writes are short and stall, the broker is slow.
//!
//! A failure prints its seed; `LEVERET_SEED=n` runs that one alone. `check` asserts the guarantees.

mod broker;

mod panics;
mod reconnect_pauses;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use crate::config::{ChannelOptions, ConnectionConfig};
use crate::declare::{Consume, QueueDeclare};
use crate::handles::channel::Channel;
use crate::handles::connection::Connection;
use crate::handles::engine::Engine;
use crate::handles::route::Route;
use crate::outcome::Outcome;
use crate::reactor::sim::{Faults, Sim};
use crate::shard::run::Shard;
use crate::wire::Properties;
use broker::{Broker, body_of, id_of};

const SEEDS: u64 = 300;
/// Virtual time. Only a hang takes this long.
const HANG_TIMEOUT: Duration = Duration::from_secs(3600);
/// Tickets count real time, of which almost none passes.
const FOREVER: Duration = Duration::from_secs(1 << 24);

/// By id: whether the publication was retained, and its outcome.
type Ends = BTreeMap<u32, (bool, Outcome)>;

struct Run {
    broker: Rc<Broker>,
    ends: Ends,
    /// Ids as they were consumed, in order, duplicates included.
    consumed: Vec<u32>,
}

#[test]
fn nothing_is_lost_invented_or_reordered_under_faults() {
    match std::env::var("LEVERET_SEED") {
        Ok(seed) => simulate(seed.parse().unwrap()),
        Err(_) => {
            let seeds = std::env::var("LEVERET_SEEDS").map(|seeds| seeds.parse().unwrap());
            (0..seeds.unwrap_or(SEEDS)).for_each(simulate);
        }
    }
}

fn simulate(seed: u64) {
    let printer = SeedOnPanic(seed);
    fastrand::seed(seed);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let run = tokio::task::LocalSet::new().block_on(&runtime, async {
        tokio::time::timeout(HANG_TIMEOUT, run_scenario(seed)).await.expect("it hangs")
    });
    check(&run);
    std::mem::forget(printer);
}

struct SeedOnPanic(u64);

impl Drop for SeedOnPanic {
    fn drop(&mut self) {
        eprintln!("replay with LEVERET_SEED={}", self.0);
    }
}

/// Publishes on one connection and consumes on another, with faults that end after some seconds.
async fn run_scenario(seed: u64) -> Run {
    let mut rng = fastrand::Rng::with_seed(seed);
    let rough = Faults {
        refused_percent: rng.u8(..60),
        stalls_percent: rng.u8(..50),
        stall_max: Duration::from_millis(rng.u64(1..1000)),
        cut_below: Some(1 << rng.u32(10..20)),
    };
    let (sim, accepted) = Sim::new(seed, rough);
    let broker = Broker::new(seed);
    tokio::task::spawn_local(Rc::clone(&broker).accept(accepted));
    let (shard, handle) = Shard::new(Duration::ZERO);
    let running = tokio::task::spawn_local(shard.serve(sim.clone()));
    let engine = Engine::with_shard(handle, crate::reactor::BackendKind::Epoll);

    let (publishing, consuming) = tokio::join!(open(&engine), open(&engine));
    let consumed = tokio::task::spawn_local(consume(consuming.1, rng.fork()));
    let bad = Duration::from_secs(rng.u64(1..10));
    let clearing = async {
        tokio::time::sleep(bad).await;
        sim.set_faults(Faults::NONE);
    };
    let (ends, ()) = tokio::join!(publish(&publishing.1, rng.fork()), clearing);
    let consumed = consumed.await.unwrap();
    drop((publishing, consuming.0));
    engine.stop();
    running.await.unwrap();
    Run { broker, ends, consumed }
}

async fn open(engine: &Engine) -> (Connection, Channel) {
    let mut config = ConnectionConfig::to("peer", 5672);
    config.connect_deadline = HANG_TIMEOUT;
    config.operation_timeout = HANG_TIMEOUT;
    config.handshake_timeout = Duration::from_secs(30);
    config.connect_timeout = Duration::from_secs(5);
    config.outbox_bytes = 100_000;
    config.block_bytes = 4096;
    config.blocks_max = 16;
    config.heartbeat = Duration::from_secs(20);
    let connection = engine.connect(config).await.unwrap();
    loop {
        // The caller has to repeat an operation that a lost connection ended.
        let Ok(channel) = connection.open_channel(ChannelOptions::default()).await else {
            continue;
        };
        let declare = QueueDeclare { name: "q".into(), durable: true, ..Default::default() };
        while channel.declare_queue(declare.clone()).await.is_err() {}
        return (connection, channel);
    }
}

/// The id of the last publication.
const LAST: u32 = u32::MAX;

async fn publish(channel: &Channel, mut rng: fastrand::Rng) -> Ends {
    let route = Route { exchange: String::new(), routing_key: "q".into(), mandatory: false };
    let publisher = channel.publisher(route, &Properties::default()).unwrap();
    let retained = publisher.retained();
    let mut confirms = Vec::new();
    for id in 0..rng.u32(20..200) {
        let len = match rng.u8(..20) {
            0 => rng.usize(..150_000),
            1..4 => rng.usize(..20_000),
            _ => rng.usize(..300),
        };
        let retain = rng.bool();
        let publisher = if retain { &retained } else { &publisher };
        let body = bytes::Bytes::from(body_of(id, len));
        let confirm = match rng.bool() {
            true => publisher.publish(&body, FOREVER).await,
            false => publisher.publish(&body[..], FOREVER).await,
        };
        confirms.push((id, retain, confirm.unwrap()));
        if rng.u8(..10) == 0 {
            tokio::time::sleep(Duration::from_millis(rng.u64(..3000))).await;
        }
    }
    let mut ends = Ends::new();
    for (id, retain, confirm) in confirms {
        ends.insert(id, (retain, confirm.await));
    }
    let last = retained.publish(&body_of(LAST, 4)[..], FOREVER).await.unwrap();
    ends.insert(LAST, (true, last.await));
    ends
}

async fn consume(channel: Channel, mut rng: fastrand::Rng) -> Vec<u32> {
    let mut consumer = loop {
        let mut consume = Consume::from_queue("q");
        consume.consumer_tag = "tag".into();
        consume.inbox_messages = 1 + rng.usize(..20);
        if let Ok(consumer) = channel.consume(consume).await {
            break consumer;
        }
    };
    let mut consumed = Vec::new();
    while consumed.last() != Some(&LAST) {
        let delivery = consumer.next().await.unwrap().expect("it is not cancelled");
        consumed.push(id_of(&delivery.body().contiguous()));
        if rng.u8(..20) == 0 {
            tokio::time::sleep(Duration::from_millis(rng.u64(..500))).await;
        }
        delivery.ack();
    }
    consumed
}

/// The first appearance of each id.
fn firsts(ids: &[u32]) -> Vec<u32> {
    let mut seen = std::collections::BTreeSet::new();
    ids.iter().copied().filter(|id| seen.insert(*id)).collect()
}

fn check(run: &Run) {
    let memory = run.broker.memory.borrow();
    assert_eq!(memory.violations, [""; 0], "what a broker would refuse");
    let times = |id| memory.received.iter().filter(|&&seen| seen == id).count();
    for (&id, (retain, outcome)) in &run.ends {
        let times = times(id);
        match outcome {
            Outcome::Confirmed => assert!(times >= 1, "{id} was confirmed and never received"),
            Outcome::Nacked(given_back) => {
                assert!(times >= 1, "{id} was refused and never received");
                let given_back = given_back.as_ref().map(|it| id_of(&it.body().contiguous()));
                assert_eq!(given_back, retain.then_some(id), "a retained one is given back");
            }
            Outcome::MaybeSent(_) => assert!(!retain, "{id} is sent again until it is confirmed"),
            other => panic!("{id}: {other:?}"),
        }
        assert!(*retain || times <= 1, "{id} is to be sent at most once, not {times} times");
    }
    let first = firsts(&memory.received);
    assert!(first.is_sorted(), "first appearances keep their order: {first:?}");
    assert_eq!(firsts(&run.consumed), first, "all that was received is consumed, in its order");
}
