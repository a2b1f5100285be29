//! One workload: what is done over and over, with what, and against which kind of peer.
//!
//! Names are part of the tool's output format and never change their meaning. Not here: how a
//! subject does the work (`subject/`), or how it is measured (`measure/`).

use std::fmt;

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Operation {
    /// Publish without confirms.
    Publish,
    /// Publish with confirms, a window of them in flight.
    PublishConfirmed,
    /// Take deliveries without acknowledging them.
    Consume,
    /// Send a request and wait for its reply, without oslo's envelope, confirms or
    /// acknowledgements.
    Request,
    /// Cast through the driver, done when the outbox has it.
    Cast,
    /// Cast through the driver, done at the broker's confirm.
    CastConfirmed,
    /// Cast to every server of a topic.
    Fanout,
    /// Call and wait for the answer.
    Call,
    /// Connect, call once, and close the connections.
    FirstCall,
    /// Call, at least once, a topic without a server, beside a flood of casts to another.
    CallUnroutable,
    /// Cast, at least once, to a topic without a server, beside the same flood.
    CastUnroutable,
    /// Notification-like publish: to a topic with a priority, confirmed.
    Notify,
    /// Nothing, with open transports.
    Idle,
}

/// The payloads of a workload's messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Payload {
    /// The size of the command line.
    Chosen,
    /// This number of bytes.
    Bytes(usize),
    /// Sizes of the messages of a real control plane, as oslo.messaging's simulator sends them.
    Recorded,
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
    /// Operations in flight at once in each client process; `None` if the client waits for nothing.
    pub(crate) outstanding: Option<usize>,
    /// Open loop: offered load as a percentage of what was measured at saturation.
    pub(crate) load: Option<u8>,
    /// Clients on one transport, each a thread; they share the operations in flight evenly.
    pub(crate) clients: usize,
    /// Transports of a client process, each with its own connections.
    pub(crate) transports: usize,
    /// Client processes.
    pub(crate) processes: usize,
    /// Server processes.
    pub(crate) servers: usize,
    /// What its messages carry.
    pub(crate) payload: Payload,
    /// One line for `--list`.
    pub(crate) about: &'static str,
}

impl Workload {
    pub(super) const fn new(
        name: &'static str,
        operation: Operation,
        peer: Peer,
        outstanding: Option<usize>,
        about: &'static str,
    ) -> Self {
        let servers = match operation {
            Operation::Call | Operation::FirstCall | Operation::Request => 1,
            Operation::Fanout => 2,
            _ => 0,
        };
        Self {
            name,
            operation,
            peer,
            outstanding,
            load: None,
            clients: 1,
            transports: 1,
            processes: 1,
            servers,
            payload: Payload::Chosen,
            about,
        }
    }

    /// The same with this number of clients in each process.
    pub(super) const fn by(mut self, clients: usize) -> Self {
        self.clients = clients;
        self
    }

    /// The same with this number of client processes and of server processes.
    pub(super) const fn in_processes(mut self, processes: usize) -> Self {
        self.processes = processes;
        if self.servers > 0 {
            self.servers = processes;
        }
        self
    }

    /// The same with this number of transports in each process.
    pub(super) const fn over(mut self, transports: usize) -> Self {
        self.transports = transports;
        self
    }

    /// The same with this number of server processes.
    pub(super) const fn served_by(mut self, servers: usize) -> Self {
        self.servers = servers;
        self
    }

    /// The same with other payloads.
    pub(super) const fn carrying(mut self, payload: Payload) -> Self {
        self.payload = payload;
        self
    }

    /// The same in open loop, at this percentage of saturation.
    pub(super) const fn at(mut self, percent: u8) -> Self {
        self.load = Some(percent);
        self
    }

    /// Whether an oslo message (rather than a plain body) is sent.
    pub(crate) fn through_driver(&self) -> bool {
        use Operation::{Call, Cast, CastConfirmed, Fanout, FirstCall, Idle, Notify};
        let is_usual = matches!(
            self.operation,
            Cast | CastConfirmed | Fanout | Call | FirstCall | Notify | Idle
        );
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

    /// Whether the receivers are servers, of the subject's own kind.
    pub(crate) fn is_served(&self) -> bool {
        self.servers > 0
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
