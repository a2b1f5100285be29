//! All workloads by name.

use std::fmt;
use std::str::FromStr;

use super::workload::{Operation as O, Payload, Peer, Workload};

/// Confirms in flight at once: enough that neither side ever waits for the other.
const WINDOW: usize = 1000;
/// In flight at once in the workloads that measure fairness: more than an outbox holds.
const MANY: usize = 10_000;
/// Confirms in flight in the workloads that spread them over connections.
const SPREAD: usize = 1024;
/// Messages in flight in the workloads of sizes: 16 of the largest fit an outbox.
const FEW: usize = 4;
const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
/// Processes on each side of the announcement's overload, and threads in each client process.
const FLEET: usize = 17;
const FLEET_THREADS: usize = 5;

const fn broker(name: &'static str, operation: O, window: usize, about: &'static str) -> Workload {
    Workload::new(name, operation, Peer::Broker, Some(window), about)
}

const fn flood(name: &'static str, operation: O, peer: Peer, about: &'static str) -> Workload {
    Workload::new(name, operation, peer, None, about)
}

/// A workload of the announcement: closed loop, one operation in flight for each thread.
const fn announced(
    name: &'static str,
    operation: O,
    processes: usize,
    about: &'static str,
) -> Workload {
    let fleet = broker(name, operation, FLEET_THREADS, about).served_by(1);
    fleet.by(FLEET_THREADS).in_processes(processes).carrying(Payload::Recorded)
}

const fn open(name: &'static str, operation: O, percent: u8, about: &'static str) -> Workload {
    broker(name, operation, SATURATING, about).at(percent)
}

const fn callers(name: &'static str, callers: usize) -> Workload {
    broker(name, O::Call, callers, "call, by this number of callers at once")
}

const fn connections(name: &'static str, transports: usize) -> Workload {
    let about = "confirmed cast, 1024 in flight over this number of busy connections on one shard";
    broker(name, O::CastConfirmed, SPREAD, about).over(transports)
}

const fn servers(name: &'static str, servers: usize) -> Workload {
    let about = "call, 85 in flight, with this number of server processes";
    broker(name, O::Call, SATURATING, about).served_by(servers)
}

const fn sized(name: &'static str, bytes: usize) -> Workload {
    broker(name, O::Call, FEW, "call with a payload of this size, 4 in flight")
        .carrying(Payload::Bytes(bytes))
}

/// Operations in flight at saturation, against which open loops are measured.
pub(crate) const SATURATING: usize = 85;

/// All workloads, in the order of `--list`.
pub(crate) const CATALOGUE: &[Workload] = &[
    flood(
        "engine-publish-sink",
        O::Publish,
        Peer::Sink,
        "publish through the engine into a peer that only counts",
    ),
    flood(
        "engine-publish",
        O::Publish,
        Peer::Broker,
        "publish through the engine into a queue of max-length 1000",
    ),
    broker(
        "engine-publish-confirmed",
        O::PublishConfirmed,
        WINDOW,
        "the same with publisher confirms, 1000 in flight",
    ),
    flood(
        "engine-consume-source",
        O::Consume,
        Peer::Source,
        "consume through the engine from a peer that only sends",
    ),
    broker(
        "engine-call-1",
        O::Request,
        1,
        "request and reply through the engine: transient, no confirms, no acknowledgements",
    ),
    broker("engine-call-85", O::Request, 85, "the same, 85 in flight"),
    flood("cast-sink", O::Cast, Peer::Sink, "cast through the driver into a peer that only counts"),
    flood(
        "cast-buffered",
        O::Cast,
        Peer::Broker,
        "cast through the driver, done when the outbox has it",
    ),
    broker(
        "cast-confirmed",
        O::CastConfirmed,
        WINDOW,
        "cast through the driver, done at the broker's confirm, 1000 in flight",
    ),
    broker("cast-confirmed-5", O::CastConfirmed, 5, "the same by 5 threads, 1 in flight each")
        .by(5),
    broker(
        "cast-confirmed-by-4",
        O::CastConfirmed,
        WINDOW,
        "the same by 4 clients of one transport, 250 in flight each",
    )
    .by(4),
    broker(
        "cast-confirmed-10000",
        O::CastConfirmed,
        MANY,
        "the same, 10,000 in flight: publications leave in the order of their arrival",
    ),
    broker("fanout", O::Fanout, 85, "confirmed fanout cast to two servers, 85 in flight"),
    broker("call-1", O::Call, 1, "call, one after the other"),
    broker("call-5", O::Call, 5, "call, 5 in flight"),
    broker("call-85", O::Call, 85, "call, 85 in flight"),
    broker("call-84-by-4", O::Call, 84, "call, by 4 clients of one transport, 21 in flight each")
        .by(4),
    broker(
        "call-10000",
        O::Call,
        MANY,
        "call, 10,000 in flight: publications leave in the order of their arrival",
    ),
    broker("first-call", O::FirstCall, 1, "connect, call once, and close the connections"),
    broker("notify", O::Notify, 85, "notification of priority info, confirmed, 85 in flight"),
    broker(
        "undeliverable",
        O::CallUnroutable,
        1,
        "call a topic without a server until MessageUndeliverable, beside a flood of casts",
    ),
    broker("undeliverable-cast", O::CastUnroutable, 1, "the same with a cast, at least once"),
    announced(
        "announced-call",
        O::Call,
        1,
        "call as the announcement did: 1 server, 1 client of 5 threads, recorded sizes",
    ),
    announced("announced-cast", O::CastConfirmed, 1, "the same with casts"),
    announced(
        "announced-call-17",
        O::Call,
        FLEET,
        "the same, overloaded: 17 server processes, 17 client processes of 5 threads",
    ),
    announced("announced-cast-17", O::CastConfirmed, FLEET, "the same with casts"),
    open("call-at-10", O::Call, 10, "call in open loop, at 10 % of saturation"),
    open("call-at-50", O::Call, 50, "call in open loop, at 50 % of saturation"),
    open("call-at-80", O::Call, 80, "call in open loop, at 80 % of saturation"),
    open("cast-at-10", O::CastConfirmed, 10, "confirmed cast in open loop, at 10 % of saturation"),
    open("cast-at-50", O::CastConfirmed, 50, "confirmed cast in open loop, at 50 % of saturation"),
    open("cast-at-80", O::CastConfirmed, 80, "confirmed cast in open loop, at 80 % of saturation"),
    callers("callers-1", 1),
    callers("callers-10", 10),
    callers("callers-100", 100),
    callers("callers-1000", 1000),
    callers("callers-10000", 10_000),
    callers("callers-50000", 50_000),
    connections("connections-1", 1),
    connections("connections-4", 4),
    connections("connections-16", 16),
    connections("connections-64", 64),
    connections("connections-256", 256),
    servers("servers-1", 1),
    servers("servers-4", 4),
    servers("servers-16", 16),
    sized("size-64b", 64),
    sized("size-1k", KIB),
    sized("size-16k", 16 * KIB),
    sized("size-256k", 256 * KIB),
    sized("size-1m", MIB),
    sized("size-16m", 16 * MIB),
    broker("idle-1", O::Idle, 0, "one open transport that does nothing"),
    broker("idle-64", O::Idle, 0, "64 open transports on one engine that do nothing").over(64),
];

/// A name that is not in the catalogue.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UnknownWorkload(String);

impl fmt::Display for UnknownWorkload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no workload is called {:?}; --list shows them all", self.0)
    }
}

impl std::error::Error for UnknownWorkload {}

impl FromStr for Workload {
    type Err = UnknownWorkload;

    fn from_str(name: &str) -> Result<Self, UnknownWorkload> {
        let found = CATALOGUE.iter().find(|workload| workload.name == name);
        found.copied().ok_or_else(|| UnknownWorkload(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_finds_its_own_workload() {
        for workload in CATALOGUE {
            assert_eq!(workload.name.parse(), Ok(*workload));
        }
    }

    #[test]
    fn a_wrong_name_is_told_where_to_look() {
        let error = "cast".parse::<Workload>().expect_err("not a name");
        assert_eq!(error.to_string(), "no workload is called \"cast\"; --list shows them all");
    }

    #[test]
    fn sinks_and_sources_are_named_so() {
        for workload in CATALOGUE {
            assert_eq!(workload.name.ends_with("-sink"), workload.peer == Peer::Sink);
            assert_eq!(workload.name.ends_with("-source"), workload.peer == Peer::Source);
        }
    }

    #[test]
    fn clients_share_what_is_in_flight_evenly() {
        for workload in CATALOGUE {
            let share = workload.outstanding.unwrap_or(0) % workload.clients;
            assert_eq!(share, 0, "{workload}");
        }
    }
}
