//! Flags of the suite, and of the servers it starts.

use clap::Args;

use crate::cli::values::seconds;
use crate::subject::name::SubjectName;
use crate::workload::Workload;

/// Flags of the suite.
#[derive(Debug, Args)]
pub(crate) struct Suite {
    /// Length of each measured window
    #[arg(long, value_name = "S", default_value_t = 1.5, value_parser = seconds)]
    pub(crate) seconds: f64,
    /// Payload of a message in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 200)]
    pub(crate) size: usize,
    /// Run only these workloads
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) only: Vec<Workload>,
    /// Interleaved pairs (5 with --against, else 1)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) pairs: Option<u16>,
    /// Measure these beside Leveret in the same run: raw, raw-kombu, lapin, amqprs, or Leveret in
    /// another configuration: leveret-pika, leveret-msgpack, leveret-auto, leveret-both,
    /// leveret-single, leveret-read-write, leveret-pool (of 2), leveret-per-shard
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) against: Vec<SubjectName>,
    /// List the workloads and stop
    #[arg(long)]
    pub(crate) list: bool,
}

/// Flags of the hidden mode of servers.
#[derive(Clone, Debug, Args)]
pub(crate) struct AnswerCallsArgs {
    #[arg(long)]
    pub(crate) subject: String,
    #[arg(long)]
    pub(crate) queue: String,
    /// Number of the server among those of the queue
    #[arg(long)]
    pub(crate) number: usize,
}
