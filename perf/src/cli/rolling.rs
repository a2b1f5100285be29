//! Flags of `rolling-update`.

use std::path::PathBuf;

use clap::Args;

use crate::cli::values::{members, per_second, seconds};

/// Flags of `rolling-update`.
#[derive(Clone, Debug, Args)]
pub(crate) struct RollingUpdateArgs {
    /// Servers
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = members)]
    pub(crate) servers: usize,
    /// Clients
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = members)]
    pub(crate) clients: usize,
    /// Requests a second of each client
    #[arg(long, value_name = "PER_S", default_value_t = 20.0, value_parser = per_second)]
    pub(crate) rate: f64,
    /// Seconds a call waits for its answer
    #[arg(long, value_name = "S", default_value_t = 10.0, value_parser = seconds)]
    pub(crate) timeout: f64,
    /// Seconds between two moves, and before a member that was replaced stops
    #[arg(long, value_name = "S", default_value_t = 0.5, value_parser = seconds)]
    pub(crate) dwell: f64,
    /// What is moved when
    #[arg(long, value_name = "NAME", default_value = "servers-first")]
    pub(crate) plan: Plan,
    /// In which order the members of a phase are moved
    #[arg(long, alias = "orders", value_name = "NAME", default_value = "forward")]
    pub(crate) order: Order,
    /// Of the random order; a random one by default, which is reported
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// How a member gives way to the next
    #[arg(long, value_name = "HOW", default_value = "start-first")]
    pub(crate) replace: Replace,
    /// Publish requests once and refuse what was delivered before, instead of at least once
    #[arg(long)]
    pub(crate) at_most_once: bool,
    /// Notify as well, and listen beside each server
    #[arg(long)]
    pub(crate) notify: bool,
    /// A Python that has oslo.messaging, to be the first of the old servers and clients
    #[arg(long, value_name = "FILE")]
    pub(crate) python: Option<PathBuf>,
    /// How many of the old servers, and of the old clients, are Python's
    #[arg(long, value_name = "N", default_value_t = 1, requires = "python")]
    pub(crate) python_members: usize,
}

/// What is moved when, from the kombu dialect to the pika dialect; back is the reverse of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Plan {
    /// Servers to both dialects, clients to auto, servers to pika, clients to pika.
    ServersFirst,
    /// Clients to auto, servers from kombu to pika at once, clients to pika.
    ClientsFirst,
}

/// In which order the members of a phase are moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Order {
    /// From the first to the last.
    Forward,
    /// From the last to the first.
    Reverse,
    /// Any.
    Random,
    /// Every order, one pass there and back for each.
    All,
}

/// How a member gives way to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Replace {
    /// The next one works before the old one stops.
    StartFirst,
    /// The old one stops before the next one starts; others serve meanwhile.
    StopFirst,
}
