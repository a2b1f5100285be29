//! Simulates a defect in the engine: an operation of a socket panics in the task that runs it.
//! Whichever operation it is, the connection reconnects and every wait ends.

use std::cell::Cell;
use std::io;
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;

use super::{FOREVER, HANG_TIMEOUT, open};
use crate::handles::engine::Engine;
use crate::handles::route::Route;
use crate::reactor::sim::{ClientEnd, Faults, Sim};
use crate::reactor::{AfterWrite, Completion, Reactor, SocketOptions, Stream};
use crate::shard::run::Shard;
use crate::shard::tests::broker::Broker;
use crate::wire::Properties;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Side {
    Read,
    Write,
}

/// Panics once, at an operation of this side after `left` others.
#[derive(Clone)]
struct Faulty {
    sim: Sim,
    side: Side,
    left: Rc<Cell<Option<usize>>>,
}

impl Faulty {
    fn pass(&self, side: Side) {
        if side != self.side {
            return;
        }
        let left = self.left.get();
        self.left.set(left.and_then(|left| left.checked_sub(1)));
        assert_ne!(left, Some(0), "an injected defect");
    }
}

struct FaultyStream(Faulty, ClientEnd);

impl Reactor for Faulty {
    type Stream = FaultyStream;

    async fn connect(
        &self,
        host: &str,
        port: u16,
        options: SocketOptions,
    ) -> io::Result<FaultyStream> {
        Ok(FaultyStream(self.clone(), self.sim.connect(host, port, options).await?))
    }

    async fn poll_io(&self) -> io::Result<()> {
        self.sim.poll_io().await
    }
}

impl Stream for FaultyStream {
    async fn read(&self, block: Vec<u8>) -> Completion<Vec<u8>> {
        let done = self.1.read(block).await;
        self.0.pass(Side::Read);
        done
    }

    async fn write(
        &self,
        buffer: Vec<u8>,
        range: Range<usize>,
        after: AfterWrite,
    ) -> Completion<Vec<u8>> {
        let done = self.1.write(buffer, range, after).await;
        self.0.pass(Side::Write);
        done
    }

    async fn write_shared(&self, body: Bytes, range: Range<usize>) -> Completion<Bytes> {
        self.1.write_shared(body, range).await
    }

    fn shutdown(&self) {
        self.1.shutdown();
    }
}

/// Publishes on a connection of which one operation panics. Returns the number of panics counted.
async fn run_scenario(side: Side, after: usize) -> u64 {
    let (sim, accepted) = Sim::new(1, Faults::NONE);
    let broker = Broker::new(1);
    tokio::task::spawn_local(Rc::clone(&broker).accept(accepted));
    let (shard, handle) = Shard::new(Duration::ZERO);
    let faulty = Faulty { sim, side, left: Rc::new(Cell::new(Some(after))) };
    let running = tokio::task::spawn_local(shard.serve(faulty));
    let engine = Engine::with_shard(handle, crate::reactor::BackendKind::Epoll);
    let (connection, channel) = open(&engine).await;
    let route = Route { exchange: String::new(), routing_key: "q".into(), mandatory: false };
    let publisher = channel.publisher(route, &Properties::default()).unwrap();
    for number in 0..20u32 {
        let body = super::body_of(number, 100);
        let confirm = publisher.publish(&body[..], FOREVER).await.unwrap();
        // Any outcome is accepted. The wait must end.
        drop(confirm.await);
    }
    connection.close().await.unwrap();
    engine.stop();
    running.await.unwrap();
    engine.stats()[0].panics
}

#[test]
fn a_connection_reconnects_after_a_task_panics() {
    for side in [Side::Read, Side::Write] {
        let mut after = 0;
        loop {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .start_paused(true)
                .build()
                .unwrap();
            let panics = tokio::task::LocalSet::new().block_on(&runtime, async {
                let scenario =
                    tokio::time::timeout(HANG_TIMEOUT / 2, run_scenario(side, after)).await;
                scenario.unwrap_or_else(|_| panic!("{side:?} {after}: it hangs"))
            });
            if panics == 0 {
                break;
            }
            after += 1;
        }
        assert!(after > 20, "{side:?}: {after} operations were made to panic");
    }
}
