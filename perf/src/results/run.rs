//! One record per measured window: the interface between measuring and reporting.
//!
//! Field names and their meaning are the tool's output format. `None` means that the figure has no
//! meaning for the workload, or is not available on the machine. Not here: how the figures are
//! made.

use serde::{Deserialize, Serialize};

use crate::workload::promises::Promises;

/// Percentiles of a run's latencies, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Latency {
    pub(crate) p50: Option<f64>,
    pub(crate) p90: Option<f64>,
    pub(crate) p99: Option<f64>,
    pub(crate) p999: Option<f64>,
    pub(crate) max: Option<f64>,
}

/// The measured window in equal steps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Series {
    /// Length of a step.
    pub(crate) step_ms: u64,
    /// Messages completed in each step.
    pub(crate) messages: Vec<u64>,
    /// The longest latency of each step's messages; `None` for a step without one.
    pub(crate) max_us: Vec<Option<f64>>,
}

/// One measured window of one workload by one subject.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Run {
    pub(crate) workload: String,
    pub(crate) subject: String,
    /// `uring` or `epoll` for Leveret.
    pub(crate) backend: Option<String>,
    /// The oslo dialect of driver workloads.
    pub(crate) dialect: Option<String>,
    /// Payload of a message; the mean where sizes are mixed.
    pub(crate) payload_bytes: usize,
    /// Client processes.
    pub(crate) processes: usize,
    /// Threads of all client processes that publish, call or consume, without those of a flood.
    pub(crate) threads: usize,
    /// Operations in flight at once, of all client processes together.
    pub(crate) outstanding: Option<usize>,
    pub(crate) promises: Promises,
    /// Messages finished in the measured window; in the whole run of a workload that waits for
    /// nothing.
    pub(crate) messages: u64,
    /// Messages refused, returned or timed out meanwhile.
    pub(crate) errors: u64,
    /// Length of the measured window; in a workload that waits for nothing, from the first message
    /// until the receiver has processed the last one.
    pub(crate) seconds: f64,
    /// Messages completed per second.
    pub(crate) rate_per_s: f64,
    /// Open loop: messages due per second, whether they were completed or not.
    pub(crate) offered_per_s: Option<f64>,
    pub(crate) client_cpu_us_per_msg: Option<f64>,
    /// Of the server processes.
    pub(crate) server_cpu_us_per_msg: Option<f64>,
    /// Of the broker, if it is on this machine.
    pub(crate) broker_cpu_us_per_msg: Option<f64>,
    pub(crate) allocations_per_msg: Option<f64>,
    pub(crate) syscalls_per_msg: Option<f64>,
    /// Closed loop: from the start of an operation to its end; a stall delays later starts instead
    /// of showing in their latencies. Open loop: from the time at which the operation was due.
    pub(crate) latency_us: Latency,
    /// Open loop: from the time at which the operation started.
    pub(crate) service_us: Option<Latency>,
    /// Latencies (of `latency_us`) as pairs: a value in nanoseconds, and how many had it, within
    /// one percent.
    pub(crate) histogram: Vec<(u64, u64)>,
    pub(crate) series: Series,
    /// Resident memory that an idle transport adds, and how often threads wake up meanwhile.
    pub(crate) memory_kib: Option<u64>,
    pub(crate) wakeups_per_s: Option<f64>,
}

impl Run {
    /// Whether transports were measured that do nothing.
    pub(crate) fn is_idle(&self) -> bool {
        self.memory_kib.is_some()
    }
}
