//! The catalogue of workloads: their names, what they do, and against which kind of peer.
//!
//! Names are part of the tool's output format and never change their meaning. Not here: how a
//! subject does the work (`subject/`), or how it is measured (`runner.rs`).

use std::fmt;
use std::str::FromStr;

/// What the subject talks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// The broker of the URL, or the embedded one.
    Broker,
    /// An in-process peer that only counts what it is sent.
    Sink,
    /// An in-process peer that only sends deliveries.
    Source,
}

/// What is done over and over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Publish without confirms.
    Publish,
    /// Publish with confirms, a window of them in flight.
    PublishConfirmed,
    /// Take deliveries without acknowledging them.
    Consume,
    /// Cast through the driver, done when the outbox has it.
    Cast,
    /// Cast through the driver, done at the broker's confirm.
    CastConfirmed,
    /// Cast to every server of a topic.
    Fanout,
    /// Call and wait for the answer.
    Call,
    /// Call, at least once, a topic without a server, beside a flood of casts to another.
    CallUnroutable,
    /// Cast, at least once, to a topic without a server, beside the same flood.
    CastUnroutable,
    /// Notification-like publish: to a topic with a priority, confirmed.
    Notify,
}

/// One workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Workload {
    /// Its name, on the command line and in reports.
    pub(crate) name: &'static str,
    /// What it does.
    pub(crate) operation: Operation,
    /// What it talks to.
    pub(crate) peer: Peer,
    /// Operations in flight at once; `None` if the client waits for nothing.
    pub(crate) outstanding: Option<usize>,
    /// Clients on one transport, each a thread; they share the operations in flight evenly.
    pub(crate) clients: usize,
    /// Servers that take part, apart from the client.
    pub(crate) servers: usize,
    /// One line for `--list`.
    pub(crate) about: &'static str,
}

impl Workload {
    /// Whether an oslo message (rather than a plain body) is sent.
    pub(crate) fn through_driver(&self) -> bool {
        use Operation::{Call, Cast, CastConfirmed, Fanout, Notify};
        let is_usual = matches!(self.operation, Cast | CastConfirmed | Fanout | Call | Notify);
        is_usual || self.is_beside_flood()
    }

    /// Whether other threads flood the broker meanwhile; most of what the process uses is then
    /// theirs.
    pub(crate) fn is_beside_flood(&self) -> bool {
        matches!(self.operation, Operation::CallUnroutable | Operation::CastUnroutable)
    }

    /// Whether a message counts as done when the client has accepted it, long before its receiver
    /// has it.
    pub(crate) fn is_handed_over(&self) -> bool {
        matches!(self.operation, Operation::Publish | Operation::Cast)
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

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

const fn workload(
    name: &'static str,
    operation: Operation,
    peer: Peer,
    outstanding: Option<usize>,
    about: &'static str,
) -> Workload {
    let servers = match operation {
        Operation::Call => 1,
        Operation::Fanout => 2,
        _ => 0,
    };
    Workload { name, operation, peer, outstanding, clients: 1, servers, about }
}

impl Workload {
    /// The same workload with this number of clients.
    const fn by(mut self, clients: usize) -> Self {
        self.clients = clients;
        self
    }
}

/// Confirms in flight at once: enough that neither side ever waits for the other.
const WINDOW: usize = 1000;

/// In flight at once in the workloads that measure fairness: more than an outbox holds.
const MANY: usize = 10_000;

/// All workloads, in the order a suite runs them.
pub(crate) const CATALOGUE: [Workload; 18] = {
    use Operation as O;
    use Peer::{Broker, Sink, Source};
    [
        workload(
            "engine-publish-sink",
            O::Publish,
            Sink,
            None,
            "publish through the engine into a peer that only counts",
        ),
        workload(
            "engine-publish",
            O::Publish,
            Broker,
            None,
            "publish through the engine into a queue of max-length 1000",
        ),
        workload(
            "engine-publish-confirmed",
            O::PublishConfirmed,
            Broker,
            Some(WINDOW),
            "the same with publisher confirms, 1000 in flight",
        ),
        workload(
            "engine-consume-source",
            O::Consume,
            Source,
            None,
            "consume through the engine from a peer that only sends",
        ),
        workload(
            "cast-sink",
            O::Cast,
            Sink,
            None,
            "cast through the driver into a peer that only counts",
        ),
        workload(
            "cast-buffered",
            O::Cast,
            Broker,
            None,
            "cast through the driver, done when the outbox has it",
        ),
        workload(
            "cast-confirmed",
            O::CastConfirmed,
            Broker,
            Some(WINDOW),
            "cast through the driver, done at the broker's confirm, 1000 in flight",
        ),
        workload(
            "cast-confirmed-by-4",
            O::CastConfirmed,
            Broker,
            Some(WINDOW),
            "the same by 4 clients of one transport, 250 in flight each",
        )
        .by(4),
        workload(
            "cast-confirmed-10000",
            O::CastConfirmed,
            Broker,
            Some(MANY),
            "the same, 10,000 in flight: publications leave in the order of their arrival",
        ),
        workload(
            "fanout",
            O::Fanout,
            Broker,
            Some(85),
            "confirmed fanout cast to two servers, 85 in flight",
        ),
        workload("call-1", O::Call, Broker, Some(1), "call, one after the other"),
        workload("call-5", O::Call, Broker, Some(5), "call, 5 in flight"),
        workload("call-85", O::Call, Broker, Some(85), "call, 85 in flight"),
        workload(
            "call-84-by-4",
            O::Call,
            Broker,
            Some(84),
            "call, by 4 clients of one transport, 21 in flight each",
        )
        .by(4),
        workload(
            "call-10000",
            O::Call,
            Broker,
            Some(MANY),
            "call, 10,000 in flight: publications leave in the order of their arrival",
        ),
        workload(
            "notify",
            O::Notify,
            Broker,
            Some(85),
            "notification of priority info, confirmed, 85 in flight",
        ),
        workload(
            "undeliverable",
            O::CallUnroutable,
            Broker,
            Some(1),
            "call a topic without a server until MessageUndeliverable, beside a flood of casts",
        ),
        workload(
            "undeliverable-cast",
            O::CastUnroutable,
            Broker,
            Some(1),
            "the same with a cast, at least once",
        ),
    ]
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_finds_its_own_workload() {
        for workload in CATALOGUE {
            assert_eq!(workload.name.parse(), Ok(workload));
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
}
