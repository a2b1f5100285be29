//! Counters of one shard, read by anyone at any time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::panics::Panics;

/// The live counters; written by the shard alone, but for the panics.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    pub(crate) reads: AtomicU64,
    pub(crate) writes: AtomicU64,
    pub(crate) bytes_in: AtomicU64,
    pub(crate) bytes_out: AtomicU64,
    pub(crate) connects: AtomicU64,
    pub(crate) connects_failed: AtomicU64,
    pub(crate) losses: AtomicU64,
    pub(crate) pauses: AtomicU64,
    pub(crate) oversized: AtomicU64,
    pub(crate) panics: Arc<Panics>,
    /// Told of every operation; busy polling lives on it.
    pub(crate) activity: tokio::sync::Notify,
}

/// A reading of the counters of one shard, since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShardStats {
    /// Receive operations completed.
    pub reads: u64,
    /// Send operations completed.
    pub writes: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Connections opened, the first ones and those after a loss.
    pub connects: u64,
    /// Attempts to connect that failed.
    pub connects_failed: u64,
    /// Connections lost without being asked to close.
    pub losses: u64,
    /// Times a connection was not read because a consumer or the block pool was full.
    pub pauses: u64,
    /// Messages dropped because they were larger than
    /// [`body_max`](crate::ConnectionConfig::body_max).
    pub oversized: u64,
    /// Panics in wakers, sinks, timer actions, tracing subscribers and tasks that were caught on
    /// the shard, or elsewhere in answering a ticket of it. The shard goes on; a task of a
    /// connection that panics costs a reconnect.
    pub panics: u64,
    /// The greatest lateness of a tick since the last reading: how long something held up the
    /// shard's thread, a sink or the system. Only while deadlines are watched does it tick.
    pub tick_late_max: Duration,
}

impl Stats {
    pub(crate) fn count(counter: &AtomicU64, by: u64) {
        // One writer: a plain add is enough.
        counter.store(counter.load(Ordering::Relaxed) + by, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> ShardStats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ShardStats {
            reads: get(&self.reads),
            writes: get(&self.writes),
            bytes_in: get(&self.bytes_in),
            bytes_out: get(&self.bytes_out),
            connects: get(&self.connects),
            connects_failed: get(&self.connects_failed),
            losses: get(&self.losses),
            pauses: get(&self.pauses),
            oversized: get(&self.oversized),
            panics: self.panics.count(),
            tick_late_max: Duration::ZERO,
        }
    }
}
