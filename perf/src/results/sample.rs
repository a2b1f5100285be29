//! One record per run, and one per comparison: the interface between measuring and reporting.
//!
//! Field names and their meaning are the tool's output format. `None` means that the figure has no
//! meaning for the workload, or is not available on the machine. Not here: how the figures are
//! made.

use serde::Serialize;

/// Percentiles of a run's latencies, in microseconds. Closed loop: an operation starts when a
/// former one ends, so a stall delays later starts instead of showing in their latencies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Latency {
    pub(crate) p50: Option<f64>,
    pub(crate) p90: Option<f64>,
    pub(crate) p99: Option<f64>,
    pub(crate) p999: Option<f64>,
    pub(crate) max: Option<f64>,
}

/// One run of one workload by one subject.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Run {
    pub(crate) workload: String,
    pub(crate) subject: String,
    /// `uring` or `epoll` for Leveret.
    pub(crate) backend: Option<String>,
    /// The oslo dialect of driver workloads.
    pub(crate) dialect: Option<String>,
    pub(crate) payload_bytes: usize,
    /// Threads that publish, call or consume, without those of a flood.
    pub(crate) threads: usize,
    /// Operations in flight at once.
    pub(crate) outstanding: Option<usize>,
    /// Messages finished in the measured window; in the whole run of a workload that waits for
    /// nothing.
    pub(crate) messages: u64,
    /// Messages refused, returned or timed out meanwhile.
    pub(crate) errors: u64,
    /// Length of the measured window; in a workload that waits for nothing, from the first message
    /// until the receiver has processed the last one.
    pub(crate) seconds: f64,
    pub(crate) rate_per_s: f64,
    pub(crate) client_cpu_us_per_msg: Option<f64>,
    pub(crate) allocations_per_msg: Option<f64>,
    pub(crate) syscalls_per_msg: Option<f64>,
    pub(crate) latency_us: Latency,
}

/// Leveret against another subject in one workload: medians over interleaved pairs, Leveret's
/// figure divided by the other's.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Ratio {
    pub(crate) workload: String,
    pub(crate) subject: String,
    pub(crate) against: String,
    pub(crate) rate: Option<f64>,
    pub(crate) cpu: Option<f64>,
    pub(crate) p50: Option<f64>,
    pub(crate) p999: Option<f64>,
    /// Pairs behind the medians.
    pub(crate) pairs: usize,
    /// Smallest and largest of each, for the table.
    #[serde(skip)]
    pub(crate) spread: Spread,
}

/// Smallest and largest ratio of all pairs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Spread {
    pub(crate) rate: Option<(f64, f64)>,
    pub(crate) cpu: Option<(f64, f64)>,
    pub(crate) p50: Option<(f64, f64)>,
    pub(crate) p999: Option<(f64, f64)>,
}

/// The machine and the build of the runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Machine {
    pub(crate) kernel: Option<String>,
    pub(crate) cpu: Option<String>,
    /// CPUs this process may use.
    pub(crate) cores: usize,
    pub(crate) memory_mib: Option<u64>,
    /// The backend of Leveret's reactor.
    pub(crate) backend: Option<String>,
    /// The executor of Leveret's servers.
    pub(crate) executor: Option<String>,
    /// Microseconds that its shards polled before they slept.
    pub(crate) busy_poll_us: u64,
    /// Product and version of the broker.
    pub(crate) broker: Option<String>,
    /// Version of this tool.
    pub(crate) version: String,
    /// Commit of the build, if the build sets it.
    pub(crate) commit: Option<String>,
    /// How to make more figures available, for the table.
    #[serde(skip)]
    pub(crate) hint: Option<String>,
}

/// All results of a suite, and the JSON document.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct SuiteResults {
    pub(crate) machine: Machine,
    pub(crate) runs: Vec<Run>,
    pub(crate) ratios: Vec<Ratio>,
}
