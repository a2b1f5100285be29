//! The order of hosts, and the options of oslo's connection pool.

use std::time::Duration;

/// The order in which the hosts of a URL are tried (`kombu_failover_strategy`).
///
/// ```
/// use leveret::{DriverConfig, Failover};
///
/// let mut config = DriverConfig::default();
/// config.failover = Failover::Shuffle;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Failover {
    /// `round-robin`: in a random order that each connection draws once, as oslo; the host after
    /// that of the lost connection is first.
    #[default]
    RoundRobin,
    /// `shuffle`: in a new random order each round. kombu draws a random host each time; Leveret
    /// tries all hosts before it tries one again.
    Shuffle,
}

/// The pool of publishing connections of oslo's driver. Leveret has no such pool, as one connection
/// publishes for all threads; these options have no effect. They are parsed and checked against
/// each other as by oslo, so that both accept the same configurations.
///
/// ```
/// assert_eq!(leveret::DriverConfig::default().pool, leveret::PoolOptions::default());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolOptions {
    /// `rpc_conn_pool_size`, at least 1 and not below `size_min`. Default 30.
    pub size: u32,
    /// `conn_pool_min_size`. Default 2.
    pub size_min: u32,
    /// `conn_pool_ttl`. Default 1200 s.
    pub ttl: Duration,
}

impl Default for PoolOptions {
    fn default() -> Self {
        Self { size: 30, size_min: 2, ttl: Duration::from_secs(1200) }
    }
}
