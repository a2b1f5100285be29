//! Flags of `chaos`, and the kinds of faults.
//!
//! Invariant: the name of a kind here is its name in reports and the first argument of a hook. Not
//! here: how faults are made (`chaos::site`).

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::cli::values::{members, name_of, per_second, seconds, url_option};

/// Flags of `chaos`.
#[derive(Clone, Debug, Args)]
pub(crate) struct ChaosArgs {
    /// Faults of the sequence, one after the other
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) faults: u32,
    /// Skip the first K faults of the sequence
    #[arg(long, value_name = "K", default_value_t = 0)]
    pub(crate) from: u32,
    /// Seed of the sequence; the same seed and kinds make the same sequence. Random by default, and
    /// reported
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// The library whose clients and servers are under load
    #[arg(long, value_name = "NAME", default_value = "leveret")]
    pub(crate) subject: ChaosSubject,
    /// Only these kinds of faults; by default all possible kinds
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) kinds: Vec<FaultKind>,
    /// Nodes of the private cluster
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16)
        .range(1..=7))]
    pub(crate) nodes: u16,
    /// Do not give each node a network of its own, which needs root: `cut` then cuts a node off
    /// from the clients of its proxy only
    #[arg(long)]
    pub(crate) no_networks: bool,
    /// With --url: a shell command that makes the faults a proxy cannot make. It is called with the
    /// fault's name, the number of the node (from 0) and `begin` or `end`
    #[arg(long, value_name = "CMD", requires = "url")]
    pub(crate) hook: Option<String>,
    /// Client processes
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = members)]
    pub(crate) clients: usize,
    /// Server processes
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = members)]
    pub(crate) servers: usize,
    /// Messages a second of each kind, all clients together; by default 100, and 20 of
    /// oslo.messaging, which needs a thread for each
    #[arg(long, value_name = "PER_S", value_parser = per_second)]
    rate: Option<f64>,
    /// Timeout of calls, casts and notifications in seconds
    #[arg(long, value_name = "S", default_value_t = 5.0, value_parser = seconds)]
    pub(crate) timeout: f64,
    /// Heartbeat of all connections in seconds
    #[arg(long, value_name = "S", default_value_t = 2)]
    pub(crate) heartbeat: u16,
    /// An option of Leveret's transports, as in the query of a URL; may be given several times
    #[arg(long = "option", value_name = "NAME=VALUE", value_parser = url_option)]
    pub(crate) options: Vec<String>,
    /// Seconds without a fault between two of them, once everything works again
    #[arg(long, value_name = "S", default_value_t = 2.0, value_parser = seconds)]
    pub(crate) dwell: f64,
    /// A Python that has oslo.messaging; needed with `--subject oslo`
    #[arg(long, value_name = "FILE")]
    pub(crate) python: Option<PathBuf>,
    /// Make no faults, but report on the JSON files of earlier runs together
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(crate) merge: Vec<PathBuf>,
}

impl ChaosArgs {
    /// Messages a second of each kind, all clients together.
    pub(crate) fn rate(&self) -> f64 {
        let default = match self.subject {
            ChaosSubject::Leveret => 100.0,
            ChaosSubject::Oslo => 20.0,
        };
        self.rate.unwrap_or(default)
    }
}

/// The library whose clients and servers are under load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ChaosSubject {
    /// Leveret, in the configuration it comes with
    Leveret,
    /// Python's oslo.messaging with its `rabbit` driver
    Oslo,
}

/// A kind of fault, of the brokers or of the connections to them.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FaultKind {
    /// A node is killed (signal 9), and started again later
    Kill,
    /// A node is stopped in order, and started again later
    Stop,
    /// A node is suspended (SIGSTOP) and continued later
    Freeze,
    /// All nodes are restarted in order, one after the other
    Rolling,
    /// All connections are closed by the operator
    Close,
    /// The user is deleted, and added again later
    User,
    /// The virtual host is deleted with all queues, and added again later
    Vhost,
    /// The user has no permissions for a while
    Permissions,
    /// Queues are deleted
    Queue,
    /// An exchange is deleted
    Exchange,
    /// The bindings of a queue are deleted
    Binding,
    /// A memory alarm blocks publishers for a while
    Memory,
    /// A disk alarm blocks publishers for a while
    Disk,
    /// All queues refuse messages by policy for a while
    Reject,
    /// A node is cut off from other nodes and from clients; without root, from clients only
    Cut,
    /// All connections through the proxies are reset
    Reset,
    /// The present connections through a node's proxy pass no data any more; new ones do
    HalfOpen,
    /// A node's proxy passes data octet by octet for a while
    Drip,
    /// Each connection through the proxies is reset after a number of octets
    CutAfter,
    /// The proxies delay data for a while
    Delay,
}

impl FaultKind {
    /// All kinds.
    pub(crate) fn all() -> &'static [Self] {
        Self::value_variants()
    }

    /// The name on the command line.
    pub(crate) fn name(self) -> String {
        name_of(&self)
    }

    /// Whether the fault proxies make it.
    pub(crate) const fn is_of_proxies(self) -> bool {
        matches!(self, Self::Reset | Self::HalfOpen | Self::Drip | Self::CutAfter | Self::Delay)
    }
}
