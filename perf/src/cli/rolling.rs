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
    /// Seconds between two moves, and before a replaced member stops
    #[arg(long, value_name = "S", default_value_t = 0.5, value_parser = seconds)]
    pub(crate) dwell: f64,
    /// Order of the phases
    #[arg(long, value_name = "NAME", default_value = "servers-first")]
    pub(crate) plan: Plan,
    /// Order of the members of a phase
    #[arg(long, alias = "orders", value_name = "NAME", default_value = "forward")]
    pub(crate) order: Order,
    /// Seed of the random order; random by default, and reported
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// How a member is replaced
    #[arg(long, value_name = "HOW", default_value = "start-first")]
    pub(crate) replace: Replace,
    /// Publish requests at most once and refuse redelivered ones, instead of at least once
    #[arg(long)]
    pub(crate) at_most_once: bool,
    /// Send notifications as well, with a listener beside each server
    #[arg(long)]
    pub(crate) notify: bool,
    /// A Python that has oslo.messaging, for the first of the old servers and clients
    #[arg(long, value_name = "FILE")]
    pub(crate) python: Option<PathBuf>,
    /// How many of the old servers, and of the old clients, are Python's
    #[arg(long, value_name = "N", default_value_t = 1, requires = "python")]
    pub(crate) python_members: usize,
}

/// The order of the phases from the kombu dialect to the pika dialect; the way back is the reverse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Plan {
    /// Servers to both dialects, clients to auto, servers to pika, clients to pika.
    ServersFirst,
    /// Clients to auto, servers from kombu to pika at once, clients to pika.
    ClientsFirst,
}

/// The order of the members of a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Order {
    /// From the first to the last.
    Forward,
    /// From the last to the first.
    Reverse,
    /// A random order.
    Random,
    /// Every order, with one pass there and back for each.
    All,
}

/// How a member is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Replace {
    /// The new member works before the old one stops.
    StartFirst,
    /// The old member stops before the new one starts; the others serve meanwhile.
    StopFirst,
}
