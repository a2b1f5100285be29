//! Every request of a run, by its id: how it ended for its sender, and how often it was executed.
//!
//! During the run the ledger also tells which flows have succeeded since a fault. Invariant: the
//! lines of a request may arrive in any order. Memory grows with the requests of a run, about 60
//! bytes each. Not here: what is promised of a request (`verdict`).

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::stream::{Consumer, Id, Stream, WorkerNumber};
use crate::chaos::protocol::HealthReading;
use crate::chaos::protocol::{Buffered, Execution, OK, RequestEnd, WorkerMessage};
use crate::system::lock::lock;

/// One request or notification. Times are microseconds of the monotonic clock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Request {
    /// 0 if no line about it has arrived.
    pub(super) begun_us: u64,
    pub(super) end: Option<End>,
    pub(super) executions: u32,
    /// Time of the last execution.
    pub(super) executed_us: u64,
    /// A bit for each server that executed it, by its number modulo 64; servers with the same bit
    /// never run at the same time.
    servers: u64,
}

/// The outcome for the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) at_us: u64,
    /// Index of the ledger's label.
    pub(super) label: u16,
}

impl Request {
    /// Executions beyond one by each server.
    pub(super) fn surplus_of_each(&self) -> u32 {
        self.executions.saturating_sub(self.servers.count_ones())
    }
}

/// A flow of messages, which has to work again after each fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Flow {
    /// A stream of a client.
    Send(WorkerNumber, Stream),
    /// A consumer of a server.
    Receive(WorkerNumber, Consumer),
}

impl Flow {
    pub(super) const fn worker(self) -> WorkerNumber {
        match self {
            Self::Send(worker, _) | Self::Receive(worker, _) => worker,
        }
    }

    pub(super) const fn consumer(self) -> Consumer {
        match self {
            Self::Send(_, stream) => stream.consumer(),
            Self::Receive(_, consumer) => consumer,
        }
    }
}

/// When a flow is expected to work again, and its first success since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Recovery {
    pub(super) since_us: u64,
    pub(super) first_us: Option<u64>,
}

/// The ledger of a run, shared by the readers of its processes.
#[derive(Default)]
pub(super) struct SharedLedger(Mutex<Ledger>);

/// All requests of a run.
#[derive(Default)]
pub(super) struct Ledger {
    lanes: HashMap<(WorkerNumber, Stream), Vec<Request>>,
    labels: Vec<String>,
    recoveries: BTreeMap<Flow, Recovery>,
    health: BTreeMap<WorkerNumber, Vec<HealthReading>>,
    buffered: BTreeMap<WorkerNumber, Buffered>,
}

impl SharedLedger {
    fn lock(&self) -> MutexGuard<'_, Ledger> {
        lock(&self.0)
    }

    /// Records a line of a process.
    pub(super) fn record(&self, worker: WorkerNumber, message: WorkerMessage) {
        let mut entries = self.lock();
        match message {
            WorkerMessage::Ended(ended) => ended.into_iter().for_each(|one| entries.ended(one)),
            WorkerMessage::Executed(executed) => {
                executed.into_iter().for_each(|one| entries.executed(worker, one));
            }
            WorkerMessage::Health(readings) => {
                entries.health.entry(worker).or_default().extend(readings);
            }
            WorkerMessage::Buffered(counts) => drop(entries.buffered.insert(worker, counts)),
        }
    }

    /// Expects these flows to work again: their first success since then counts.
    pub(super) fn watch(&self, flows: impl IntoIterator<Item = Flow>, since_us: u64) {
        let recovery = Recovery { since_us, first_us: None };
        self.lock().recoveries.extend(flows.into_iter().map(|flow| (flow, recovery)));
    }

    /// Expects nothing of the flows of this process any more.
    pub(super) fn forget(&self, worker: WorkerNumber) {
        let mut entries = self.lock();
        entries.recoveries.retain(|flow, _| flow.worker() != worker);
        entries.health.remove(&worker);
    }

    /// All flows that are expected to work.
    pub(super) fn recoveries(&self) -> BTreeMap<Flow, Recovery> {
        self.lock().recoveries.clone()
    }

    /// Readings of the health of the processes, from the last one before this moment on.
    pub(super) fn health_since(&self, since_us: u64) -> BTreeMap<WorkerNumber, Vec<HealthReading>> {
        let since = |readings: &Vec<HealthReading>| {
            let later = readings.partition_point(|(at_us, _)| *at_us < since_us);
            readings[later.saturating_sub(1)..].to_vec()
        };
        self.lock().health.iter().map(|(worker, readings)| (*worker, since(readings))).collect()
    }

    /// Number of requests that succeeded for their senders and are not executed.
    pub(super) fn unexecuted(&self) -> usize {
        let entries = self.lock();
        let is_open = |request: &Request| request.executions == 0 && entries.is_good(request);
        entries.lanes.values().flatten().filter(|request| is_open(request)).count()
    }

    /// The ledger, after the run.
    pub(super) fn into_ledger(self) -> Ledger {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ledger {
    fn ended(&mut self, (id, begun_us, at_us, label): RequestEnd) {
        let number = self.label(label);
        let is_good = self.labels[usize::from(number)] == OK;
        let Some((id, request)) = self.request(id) else { return };
        request.begun_us = begun_us;
        request.end = Some(End { at_us, label: number });
        // The sender of a buffered cast does not know its outcome.
        if is_good && id.stream != Stream::CastBuffered {
            self.succeeded(Flow::Send(id.worker, id.stream), begun_us, at_us);
        }
    }

    fn executed(&mut self, server: WorkerNumber, (id, begun_us, at_us): Execution) {
        let Some((id, request)) = self.request(id) else { return };
        request.begun_us = begun_us;
        request.executions += 1;
        request.executed_us = request.executed_us.max(at_us);
        request.servers |= 1 << (server % 64);
        if id.stream == Stream::CastBuffered {
            self.succeeded(Flow::Send(id.worker, id.stream), begun_us, at_us);
        }
        self.succeeded(Flow::Receive(server, id.stream.consumer()), begun_us, at_us);
    }

    fn succeeded(&mut self, flow: Flow, begun_us: u64, at_us: u64) {
        if let Some(recovery) = self.recoveries.get_mut(&flow)
            && begun_us >= recovery.since_us
        {
            let first = recovery.first_us.map_or(at_us, |first| first.min(at_us));
            recovery.first_us = Some(first);
        }
    }

    fn request(&mut self, id: u64) -> Option<(Id, &mut Request)> {
        let id = Id::of_number(id)?;
        let lane = self.lanes.entry((id.worker, id.stream)).or_default();
        let index = id.number as usize;
        if index >= lane.len() {
            lane.resize(index + 1, Request::default());
        }
        Some((id, &mut lane[index]))
    }

    /// The index of a label. A run has some dozens of labels.
    fn label(&mut self, label: String) -> u16 {
        let known = self.labels.iter().position(|known| *known == label);
        let number = known.unwrap_or_else(|| {
            self.labels.push(label);
            self.labels.len() - 1
        });
        u16::try_from(number).unwrap_or(u16::MAX)
    }

    /// The label of the outcome, if there is one.
    pub(super) fn label_of(&self, request: &Request) -> Option<&str> {
        Some(self.labels[usize::from(request.end?.label)].as_str())
    }

    fn is_good(&self, request: &Request) -> bool {
        self.label_of(request) == Some(OK)
    }

    /// The counts of buffered casts that a client reported at its end.
    pub(super) fn buffered(&self, client: WorkerNumber) -> Option<Buffered> {
        self.buffered.get(&client).copied()
    }

    /// All requests that have begun.
    pub(super) fn requests(&self) -> impl Iterator<Item = (Id, &Request)> {
        self.lanes.iter().flat_map(|((worker, stream), requests)| {
            let (worker, stream) = (*worker, *stream);
            let numbered = (0..).zip(requests).filter(|(_, request)| request.begun_us > 0);
            numbered.map(move |(number, request)| (Id { worker, stream, number }, request))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(stream: Stream, number: u32) -> u64 {
        Id { worker: 3, stream, number }.to_number()
    }

    fn ended(id: u64, begun: u64, at: u64, label: &str) -> WorkerMessage {
        WorkerMessage::Ended(vec![(id, begun, at, label.to_owned())])
    }

    #[test]
    fn lines_may_come_in_any_order() {
        let ledger = SharedLedger::default();
        let cast = id(Stream::Cast, 5);
        ledger.record(1, WorkerMessage::Executed(vec![(cast, 10, 12)]));
        ledger.record(3, ended(cast, 10, 15, OK));
        ledger.record(3, ended(id(Stream::Cast, 6), 11, 16, OK));
        assert_eq!(ledger.unexecuted(), 1);
        let entries = ledger.into_ledger();
        let mut requests: Vec<_> =
            entries.requests().map(|(id, r)| (id.number, r.clone())).collect();
        requests.sort_by_key(|(number, _)| *number);
        assert_eq!(requests.len(), 2, "the first five have not begun");
        let (number, request) = &requests[0];
        assert_eq!((*number, request.begun_us, request.executions), (5, 10, 1));
        assert_eq!(entries.label_of(request), Some(OK));
    }

    #[test]
    fn a_first_success_is_that_of_a_request_begun_since() {
        let ledger = SharedLedger::default();
        let (sends, takes) = (Flow::Send(3, Stream::Call), Flow::Receive(1, Consumer::Requests));
        ledger.watch([sends, takes], 100);
        let first = |flow| ledger.recoveries()[&flow].first_us;
        ledger.record(3, ended(id(Stream::Call, 0), 99, 150, OK));
        ledger.record(1, WorkerMessage::Executed(vec![(id(Stream::Call, 0), 99, 149)]));
        ledger.record(3, ended(id(Stream::Call, 1), 101, 151, "MessagingTimeout/MaybeSent"));
        assert_eq!((first(sends), first(takes)), (None, None));
        ledger.record(3, ended(id(Stream::Call, 2), 102, 153, OK));
        ledger.record(3, ended(id(Stream::Call, 3), 103, 152, OK));
        ledger.record(1, WorkerMessage::Executed(vec![(id(Stream::Call, 1), 101, 130)]));
        assert_eq!((first(sends), first(takes)), (Some(152), Some(130)));
        ledger.forget(3);
        assert_eq!(ledger.recoveries().len(), 1);
    }

    #[test]
    fn a_buffered_cast_succeeds_when_it_is_executed() {
        let ledger = SharedLedger::default();
        let sends = Flow::Send(3, Stream::CastBuffered);
        ledger.watch([sends], 0);
        ledger.record(3, ended(id(Stream::CastBuffered, 0), 1, 2, OK));
        assert_eq!(ledger.recoveries()[&sends].first_us, None);
        ledger.record(1, WorkerMessage::Executed(vec![(id(Stream::CastBuffered, 0), 1, 9)]));
        assert_eq!(ledger.recoveries()[&sends].first_us, Some(9));
    }

    #[test]
    fn a_fanout_is_repeated_only_by_the_same_server() {
        let ledger = SharedLedger::default();
        let fanout = id(Stream::Fanout, 0);
        for server in [1, 2, 2] {
            ledger.record(server, WorkerMessage::Executed(vec![(fanout, 1, 2)]));
        }
        let entries = ledger.into_ledger();
        let (_, request) = entries.requests().next().expect("one request");
        assert_eq!((request.executions, request.surplus_of_each()), (3, 1));
    }
}
