//! Every request of a run: the servers that executed it, and its outcome for the sender.
//!
//! Invariant: ids are unique, so two executions of an id are two executions of one request. The ids
//! of a run begin at a random number, so requests that an earlier run has left in a queue are
//! recognised. Memory grows with the requests of a run. Not here: sums (`counts`).

use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use leveret::{Error, ErrorKind, Outcome};
use serde::Serialize;

use super::kinds::ClientKind;
use crate::system::clock;
use crate::system::lock::lock;

/// A fanout is not expected at a server that stops this soon after its end.
const FANOUT_GRACE: Duration = Duration::from_secs(1);

/// Longest time until clients that send in either dialect find a new pika server. A fanout is
/// expected at a server from then on.
pub(super) const DISCOVERED_WITHIN: Duration = Duration::from_millis(300);

/// The kind of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestKind {
    /// A call to any server of the topic.
    Call,
    /// A call to one server by its name.
    NamedCall,
    /// A cast to any server of the topic.
    Cast,
    /// A cast to all servers of the topic.
    Fanout,
    /// A notification; its listener executes it.
    Notification,
}

impl RequestKind {
    /// Whether the sender waits for a reply.
    pub(super) const fn is_call(self) -> bool {
        matches!(self, Self::Call | Self::NamedCall)
    }
}

/// The failure of a request, as its sender sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RequestFailure {
    pub(super) label: String,
    /// The publication was cut off and may have been sent.
    pub(super) is_cut_off: bool,
}

impl RequestFailure {
    pub(super) fn new(label: impl Into<String>) -> Self {
        Self { label: label.into(), is_cut_off: false }
    }
}

impl From<&Error> for RequestFailure {
    fn from(error: &Error) -> Self {
        let outcome = error.outcome();
        let label = match outcome {
            Some(outcome) => format!("{:?} ({outcome:?})", error.kind()),
            None => format!("{:?}", error.kind()),
        };
        let may_be_sent = outcome == Some(Outcome::MaybeSent);
        let is_cut_off = may_be_sent && error.kind() != ErrorKind::MessagingTimeout;
        Self { label, is_cut_off }
    }
}

/// A server, from its start to its end; the next one at the same index has another number.
pub(super) type ServerNumber = usize;

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) what: RequestKind,
    pub(super) phase: usize,
    /// The kind of its sender.
    pub(super) sender: ClientKind,
    begun: Instant,
    pub(super) end: Option<End>,
    /// The servers that executed it, in the order of the executions.
    pub(super) executed_by: Vec<ServerNumber>,
}

impl Request {
    /// Whether the request succeeded for its sender.
    pub(super) fn is_good(&self) -> bool {
        self.end.as_ref().is_some_and(|end| end.result.is_ok())
    }
}

/// The outcome for the sender, and when it came.
#[derive(Clone, Debug)]
pub(super) struct End {
    at: Instant,
    pub(super) latency: Duration,
    pub(super) result: Result<(), RequestFailure>,
}

#[derive(Clone, Debug)]
struct Server {
    started: Option<Instant>,
    stopping: Option<Instant>,
    executed: u64,
}

/// The ledger of a run, shared by its members.
pub(super) struct SharedLedger {
    first_id: u64,
    start: Instant,
    inner: Mutex<Ledger>,
}

#[derive(Clone, Default)]
pub(super) struct Ledger {
    pub(super) requests: Vec<Request>,
    servers: Vec<Server>,
    phase: usize,
    /// Starts and stops of members, in order.
    pub(super) events: Vec<Event>,
}

/// A start or a stop of a member.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Event {
    /// Milliseconds since the start of the run.
    pub(super) at_ms: u64,
    pub(super) event: String,
}

impl SharedLedger {
    pub(super) fn new() -> Self {
        // All JSON readers keep numbers below 2^53.
        let first_id = u64::from(fastrand::u32(..)) << 20;
        Self { first_id, start: clock::now(), inner: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Ledger> {
        lock(&self.inner)
    }

    /// Enters a phase: later requests belong to it.
    pub(super) fn enter(&self, phase: usize) {
        self.lock().phase = phase;
    }

    /// Records a request before it is sent; returns its id.
    pub(super) fn begin(&self, what: RequestKind, sender: ClientKind) -> u64 {
        let begun = clock::now();
        let mut entries = self.lock();
        let (phase, executed_by) = (entries.phase, Vec::new());
        entries.requests.push(Request { what, phase, sender, begun, end: None, executed_by });
        self.first_id + entries.requests.len() as u64 - 1
    }

    /// Records the outcome of a request.
    pub(super) fn end(&self, id: u64, result: Result<(), RequestFailure>) {
        let at = clock::now();
        let mut entries = self.lock();
        if let Some(request) = self.find(&mut entries, id) {
            let latency = at.saturating_duration_since(request.begun);
            request.end = Some(End { at, latency, result });
        }
    }

    /// Records a server before it starts; returns its number.
    pub(super) fn add_server(&self) -> ServerNumber {
        let mut entries = self.lock();
        entries.servers.push(Server { started: None, stopping: None, executed: 0 });
        entries.servers.len() - 1
    }

    /// Records that a server serves.
    pub(super) fn server_started(&self, number: ServerNumber) {
        self.lock().servers[number].started = Some(clock::now());
    }

    /// Records that a server begins to stop.
    pub(super) fn server_stops(&self, number: ServerNumber) {
        self.lock().servers[number].stopping = Some(clock::now());
    }

    /// Records an execution.
    pub(super) fn executed(&self, id: u64, by: ServerNumber) {
        let mut entries = self.lock();
        if let Some(request) = self.find(&mut entries, id) {
            request.executed_by.push(by);
            entries.servers[by].executed += 1;
        }
    }

    /// Records an event of the fleet.
    pub(super) fn note(&self, event: String) {
        let at_ms = self.since_start_ms(clock::now());
        self.lock().events.push(Event { at_ms, event });
    }

    /// When a request was sent, in milliseconds since the run began.
    pub(super) fn sent_at_ms(&self, request: &Request) -> u64 {
        self.since_start_ms(request.begun)
    }

    fn since_start_ms(&self, instant: Instant) -> u64 {
        instant.saturating_duration_since(self.start).as_millis() as u64
    }

    /// Whether a server has executed a request.
    pub(super) fn has_worked(&self, server: ServerNumber) -> bool {
        self.lock().servers[server].executed > 0
    }

    /// Whether all accepted requests have been executed by the servers that should.
    pub(super) fn is_settled(&self) -> bool {
        let entries = self.lock();
        entries.requests.iter().all(|request| !request.is_good() || entries.missing(request) == 0)
    }

    /// A copy of the ledger.
    pub(super) fn read(&self) -> Ledger {
        self.lock().clone()
    }

    fn find<'a>(&self, entries: &'a mut Ledger, id: u64) -> Option<&'a mut Request> {
        let index = usize::try_from(id.checked_sub(self.first_id)?).ok()?;
        entries.requests.get_mut(index)
    }
}

impl Ledger {
    /// Number of servers that should have executed a request and have not.
    pub(super) fn missing(&self, request: &Request) -> u64 {
        if request.what != RequestKind::Fanout {
            return u64::from(request.executed_by.is_empty());
        }
        let end = request.end.as_ref().map_or(request.begun, |end| end.at);
        let missing = |(number, server): &(ServerNumber, &Server)| {
            let was_there =
                server.started.is_some_and(|started| started + DISCOVERED_WITHIN <= request.begun)
                    && server.stopping.is_none_or(|stopping| stopping >= end + FANOUT_GRACE);
            was_there && !request.executed_by.contains(number)
        };
        self.servers.iter().enumerate().filter(missing).count() as u64
    }

    /// Number of executions of a request beyond the expected ones.
    pub(super) fn surplus(&self, request: &Request) -> u64 {
        let done = &request.executed_by;
        if request.what != RequestKind::Fanout {
            return done.len().saturating_sub(1) as u64;
        }
        let is_repeat = |(index, server): &(usize, &ServerNumber)| done[..*index].contains(server);
        done.iter().enumerate().filter(is_repeat).count() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ledger with servers that have run for some time.
    fn ledger(servers: usize) -> SharedLedger {
        let ledger = SharedLedger::new();
        let started = Some(clock::now() - DISCOVERED_WITHIN);
        for _ in 0..servers {
            let number = ledger.add_server();
            ledger.lock().servers[number].started = started;
        }
        ledger
    }

    #[test]
    fn a_cast_is_to_be_executed_once() {
        let ledger = ledger(2);
        let id = ledger.begin(RequestKind::Cast, ClientKind::Auto);
        ledger.end(id, Ok(()));
        assert!(!ledger.is_settled());
        ledger.executed(id, 0);
        assert!(ledger.is_settled() && ledger.has_worked(0) && !ledger.has_worked(1));
        ledger.executed(id, 1);
        let entries = ledger.read();
        assert_eq!(entries.surplus(&entries.requests[0]), 1);
    }

    #[test]
    fn a_fanout_is_to_be_executed_once_by_all_who_were_there() {
        let ledger = ledger(2);
        let id = ledger.begin(RequestKind::Fanout, ClientKind::Auto);
        let late = ledger.add_server();
        ledger.server_started(late);
        ledger.end(id, Ok(()));
        ledger.executed(id, 0);
        assert!(!ledger.is_settled(), "one more was there");
        ledger.server_stops(1);
        assert!(ledger.is_settled(), "which stops");
        ledger.executed(id, 1);
        ledger.executed(id, 1);
        ledger.executed(id, late);
        let entries = ledger.read();
        let request = &entries.requests[0];
        assert_eq!((entries.missing(request), entries.surplus(request)), (0, 1));
    }

    #[test]
    fn what_is_not_of_this_run_is_passed_over() {
        let ledger = ledger(1);
        let id = ledger.begin(RequestKind::Call, ClientKind::Auto);
        ledger.executed(id + 1, 0);
        ledger.executed(id.wrapping_sub(1), 0);
        assert!(!ledger.has_worked(0));
    }
}
