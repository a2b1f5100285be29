//! Suites: workloads that belong together, and the subjects that they are about.

use std::fmt;

use clap::ValueEnum;

use super::workload::Workload;

/// A suite by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Suite {
    /// A little of everything, Leveret alone
    Quick,
    /// What the old driver's announcement measured, beside Python's oslo.messaging
    Announcement,
    /// Beside other clients, at oslo's promises and at theirs
    Peers,
    /// Latency in open loop, at 10, 50 and 80 % of saturation
    Latency,
    /// 1 to 50,000 callers at once
    Callers,
    /// 1 to 256 busy connections on one shard
    Connections,
    /// 1 to 16 server processes
    Servers,
    /// Payloads of 64 bytes to 16 MiB
    Sizes,
    /// io_uring beside epoll
    Backends,
    /// What open transports cost that do nothing
    Idle,
}

const QUICK: &[&str] = &[
    "engine-publish-sink",
    "engine-publish",
    "engine-publish-confirmed",
    "engine-consume-source",
    "cast-sink",
    "cast-buffered",
    "cast-confirmed",
    "cast-confirmed-by-4",
    "cast-confirmed-10000",
    "fanout",
    "call-1",
    "call-5",
    "call-85",
    "call-84-by-4",
    "call-10000",
    "notify",
    "undeliverable",
    "undeliverable-cast",
];
const ANNOUNCEMENT: &[&str] =
    &["announced-call", "announced-cast", "announced-call-17", "announced-cast-17"];
const PEERS: &[&str] = &[
    "engine-publish",
    "engine-publish-confirmed",
    "engine-call-1",
    "engine-call-85",
    "cast-buffered",
    "cast-confirmed",
    "cast-confirmed-5",
    "call-1",
    "call-5",
    "call-85",
    "notify",
];
const LATENCY: &[&str] =
    &["call-at-10", "call-at-50", "call-at-80", "cast-at-10", "cast-at-50", "cast-at-80"];
const CALLERS: &[&str] =
    &["callers-1", "callers-10", "callers-100", "callers-1000", "callers-10000", "callers-50000"];
const CONNECTIONS: &[&str] =
    &["connections-1", "connections-4", "connections-16", "connections-64", "connections-256"];
const SERVERS: &[&str] = &["servers-1", "servers-4", "servers-16"];
const SIZES: &[&str] = &["size-64b", "size-1k", "size-16k", "size-256k", "size-1m", "size-16m"];
const BACKENDS: &[&str] = &[
    "engine-publish",
    "engine-publish-confirmed",
    "cast-buffered",
    "cast-confirmed",
    "call-1",
    "call-5",
    "call-85",
    "connections-64",
    "notify",
];
const IDLE: &[&str] = &["idle-1", "idle-64"];

impl Suite {
    /// The names of its workloads.
    const fn names(self) -> &'static [&'static str] {
        match self {
            Self::Quick => QUICK,
            Self::Announcement => ANNOUNCEMENT,
            Self::Peers => PEERS,
            Self::Latency => LATENCY,
            Self::Callers => CALLERS,
            Self::Connections => CONNECTIONS,
            Self::Servers => SERVERS,
            Self::Sizes => SIZES,
            Self::Backends => BACKENDS,
            Self::Idle => IDLE,
        }
    }

    /// Its workloads.
    pub(crate) fn workloads(self) -> Vec<Workload> {
        let of = |name: &&str| name.parse().expect("suites name workloads of the catalogue");
        self.names().iter().map(of).collect()
    }

    /// The names of the subjects that it compares, the first with each of the others.
    pub(crate) const fn subjects(self) -> &'static [&'static str] {
        match self {
            Self::Announcement => &["leveret", "oslo", "oslo-fast"],
            Self::Peers => &[
                "leveret",
                "raw",
                "raw-kombu",
                "lapin",
                "lapin-kombu",
                "amqprs",
                "amqprs-kombu",
                "oslo",
            ],
            Self::Latency => &["leveret", "oslo"],
            Self::Backends => &["leveret?backend=uring", "leveret?backend=epoll"],
            Self::Quick
            | Self::Callers
            | Self::Connections
            | Self::Servers
            | Self::Sizes
            | Self::Idle => &["leveret"],
        }
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value().expect("no suite is hidden");
        f.write_str(value.get_name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_suite_has_workloads_and_subjects() {
        for suite in Suite::value_variants() {
            assert!(!suite.workloads().is_empty(), "{suite}");
            assert!(!suite.subjects().is_empty(), "{suite}");
        }
    }
}
