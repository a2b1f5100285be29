//! The counters of a shard. Any thread may read them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::panics::Panics;

/// The live counters. The shard alone writes them, except for the panics.
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
    /// Notified of every socket operation. Busy polling waits for it.
    pub(crate) activity: tokio::sync::Notify,
}

/// The counters of one shard since its start.
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
    /// Connections opened, including reconnects.
    pub connects: u64,
    /// Failed attempts to connect.
    pub connects_failed: u64,
    /// Connections lost without a request to close them.
    pub losses: u64,
    /// How often the shard stopped reading a connection because a consumer or the block pool was
    /// full.
    pub pauses: u64,
    /// Messages dropped because they were larger than
    /// [`body_max`](crate::ConnectionConfig::body_max).
    pub oversized: u64,
    /// Contained panics of wakers, sinks, timer actions, tracing subscribers and tasks, on the
    /// shard or on a thread that answered one of its tickets. The shard goes on. A panic in a task
    /// of a connection costs a reconnect.
    pub panics: u64,
    /// The greatest lateness of a tick since the last reading: how long a sink or the system held
    /// up the shard's thread. The shard ticks only while it watches deadlines.
    pub tick_late_max: Duration,
}

impl Stats {
    pub(crate) fn count(counter: &AtomicU64, by: u64) {
        // There is one writer, so load and store need no atomic addition.
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
