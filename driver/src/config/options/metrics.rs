//! The options of oslo's group `oslo_messaging_metrics`, as plain data.

use std::path::PathBuf;
use std::time::Duration;

/// Whether and where calls and casts are reported to a collector of oslo.metrics, which exports
/// them to Prometheus: one datagram at the start and two at the end of each, in oslo's JSON.
///
/// Reports wait in a buffer for a thread that sends them, so that no call waits for the collector;
/// when the buffer is full, the oldest report is dropped and counted
/// ([`TransportMetrics::reports_dropped`](crate::TransportMetrics::reports_dropped)). Reports in
/// the buffer are lost when the process ends.
///
/// ```
/// use leveret::{DriverConfig, MetricsOptions};
///
/// let mut metrics = MetricsOptions::default();
/// metrics.enabled = true;
/// metrics.process_name = "nova-compute".into();
/// let config = DriverConfig::default().with_metrics(metrics);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MetricsOptions {
    /// `metrics_enabled`. Default false: nothing is reported.
    pub enabled: bool,
    /// `metrics_buffer_size`: reports that may wait, 1 to 1,000,000 (oslo: 0 for no bound).
    /// Default 1000.
    pub buffer_size: usize,
    /// `metrics_socket_file`: the collector's Unix datagram socket; without one nothing is sent.
    /// Default `/var/tmp/metrics_collector.sock`.
    pub socket_file: Option<PathBuf>,
    /// `metrics_process_name`: the label `process`. Default empty.
    pub process_name: String,
    /// `metrics_thread_stop_timeout`: the sending thread ends after it could send nothing for this
    /// long; the next report starts it again. Default 10 s.
    pub thread_stop_timeout: Duration,
}

impl Default for MetricsOptions {
    fn default() -> Self {
        Self {
            enabled: false,
            buffer_size: 1000,
            socket_file: Some("/var/tmp/metrics_collector.sock".into()),
            process_name: String::new(),
            thread_stop_timeout: Duration::from_secs(10),
        }
    }
}
