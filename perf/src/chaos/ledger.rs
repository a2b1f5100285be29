//! Every request of a run, by its id: how it ended for its sender, and how often it was executed.
//!
//! The ledger also answers while the run goes on: which clients and consumers have succeeded since
//! a moment that is watched. Invariant: a request is found whichever of its lines comes first.
//! Memory grows with the requests of a run, about 60 bytes each. Not here: what is promised of a
//! request (`verdict`).

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::stream::{Consumer, Id, Stream, WorkerNumber};
use crate::chaos::protocol::HealthSaid;
use crate::chaos::protocol::{Buffered, Ended, Executed, OK, Said};

/// One request or notification. Times are microseconds of the monotonic clock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Request {
    /// 0 where nothing was heard of it.
    pub(super) begun_us: u64,
    pub(super) end: Option<End>,
    pub(super) executions: u32,
    /// The last of them.
    pub(super) executed_us: u64,
    /// A bit for each server that executed it, by its number modulo 64: no two servers of such
    /// numbers live at the same time.
    servers: u64,
}

/// What its sender was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) at_us: u64,
    /// Which of the ledger's labels.
    pub(super) label: u16,
}

impl Request {
    /// Executions beyond the one of each server.
    pub(super) fn surplus_of_each(&self) -> u32 {
        self.executions.saturating_sub(self.servers.count_ones())
    }
}

/// Something that works, or has to be started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Handle {
    /// A stream of a client.
    Sends(WorkerNumber, Stream),
    /// A consumer of a server.
    Takes(WorkerNumber, Consumer),
}

impl Handle {
    pub(super) const fn worker(self) -> WorkerNumber {
        match self {
            Self::Sends(worker, _) | Self::Takes(worker, _) => worker,
        }
    }

    pub(super) const fn consumer(self) -> Consumer {
        match self {
            Self::Sends(_, stream) => stream.consumer(),
            Self::Takes(_, consumer) => consumer,
        }
    }
}

/// Since when a handle is watched, and its first success since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) since_us: u64,
    pub(super) first_us: Option<u64>,
}

/// All requests of a run, fed by the lines of its processes.
#[derive(Default)]
pub(super) struct Ledger(Mutex<Books>);

/// What the ledger holds.
#[derive(Default)]
pub(super) struct Books {
    lanes: HashMap<(WorkerNumber, Stream), Vec<Request>>,
    labels: Vec<String>,
    marks: BTreeMap<Handle, Mark>,
    health: BTreeMap<WorkerNumber, Vec<HealthSaid>>,
    buffered: BTreeMap<WorkerNumber, Buffered>,
}

impl Ledger {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A process has said something.
    pub(super) fn hear(&self, worker: WorkerNumber, said: Said) {
        let mut books = self.books();
        match said {
            Said::Ended(ended) => ended.into_iter().for_each(|one| books.ended(one)),
            Said::Executed(executed) => {
                executed.into_iter().for_each(|one| books.executed(worker, one));
            }
            Said::Health(said) => books.health.entry(worker).or_default().extend(said),
            Said::Buffered(counts) => drop(books.buffered.insert(worker, counts)),
        }
    }

    /// From now on these handles are watched; what they did before does not count.
    pub(super) fn watch(&self, handles: impl IntoIterator<Item = Handle>, since_us: u64) {
        let mark = Mark { since_us, first_us: None };
        self.books().marks.extend(handles.into_iter().map(|handle| (handle, mark)));
    }

    /// The handles of this process are watched no more.
    pub(super) fn forget(&self, worker: WorkerNumber) {
        let mut books = self.books();
        books.marks.retain(|handle, _| handle.worker() != worker);
        books.health.remove(&worker);
    }

    /// All that is watched.
    pub(super) fn marks(&self) -> BTreeMap<Handle, Mark> {
        self.books().marks.clone()
    }

    /// What processes have said of their health, from the last word before this moment on.
    pub(super) fn health_since(&self, since_us: u64) -> BTreeMap<WorkerNumber, Vec<HealthSaid>> {
        let since = |said: &Vec<HealthSaid>| {
            let later = said.partition_point(|(at_us, _)| *at_us < since_us);
            said[later.saturating_sub(1)..].to_vec()
        };
        self.books().health.iter().map(|(worker, said)| (*worker, since(said))).collect()
    }

    /// Requests that their senders were told are well, and that nobody has executed.
    pub(super) fn unexecuted(&self) -> usize {
        let books = self.books();
        let is_open = |request: &Request| request.executions == 0 && books.is_good(request);
        books.lanes.values().flatten().filter(|request| is_open(request)).count()
    }

    /// All of it, when the run is over.
    pub(super) fn into_books(self) -> Books {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Books {
    fn ended(&mut self, (id, begun_us, at_us, label): Ended) {
        let number = self.label(label);
        let is_good = self.labels[usize::from(number)] == OK;
        let Some((id, request)) = self.request(id) else { return };
        request.begun_us = begun_us;
        request.end = Some(End { at_us, label: number });
        // Of a buffered cast its sender knows nothing.
        if is_good && id.stream != Stream::CastBuffered {
            self.succeeded(Handle::Sends(id.worker, id.stream), begun_us, at_us);
        }
    }

    fn executed(&mut self, server: WorkerNumber, (id, begun_us, at_us): Executed) {
        let Some((id, request)) = self.request(id) else { return };
        request.begun_us = begun_us;
        request.executions += 1;
        request.executed_us = request.executed_us.max(at_us);
        request.servers |= 1 << (server % 64);
        if id.stream == Stream::CastBuffered {
            self.succeeded(Handle::Sends(id.worker, id.stream), begun_us, at_us);
        }
        self.succeeded(Handle::Takes(server, id.stream.consumer()), begun_us, at_us);
    }

    fn succeeded(&mut self, handle: Handle, begun_us: u64, at_us: u64) {
        if let Some(mark) = self.marks.get_mut(&handle)
            && begun_us >= mark.since_us
        {
            let first = mark.first_us.map_or(at_us, |first| first.min(at_us));
            mark.first_us = Some(first);
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

    /// The number of a label; there are some dozens of them.
    fn label(&mut self, label: String) -> u16 {
        let known = self.labels.iter().position(|known| *known == label);
        let number = known.unwrap_or_else(|| {
            self.labels.push(label);
            self.labels.len() - 1
        });
        u16::try_from(number).unwrap_or(u16::MAX)
    }

    /// What its sender was told, if it was.
    pub(super) fn told(&self, request: &Request) -> Option<&str> {
        Some(self.labels[usize::from(request.end?.label)].as_str())
    }

    fn is_good(&self, request: &Request) -> bool {
        self.told(request) == Some(OK)
    }

    /// What a client said at its end.
    pub(super) fn buffered(&self, client: WorkerNumber) -> Option<Buffered> {
        self.buffered.get(&client).copied()
    }

    /// All requests something was heard of.
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

    fn ended(id: u64, begun: u64, at: u64, label: &str) -> Said {
        Said::Ended(vec![(id, begun, at, label.to_owned())])
    }

    #[test]
    fn lines_may_come_in_any_order() {
        let ledger = Ledger::default();
        let cast = id(Stream::Cast, 5);
        ledger.hear(1, Said::Executed(vec![(cast, 10, 12)]));
        ledger.hear(3, ended(cast, 10, 15, OK));
        ledger.hear(3, ended(id(Stream::Cast, 6), 11, 16, OK));
        assert_eq!(ledger.unexecuted(), 1);
        let books = ledger.into_books();
        let mut requests: Vec<_> = books.requests().map(|(id, r)| (id.number, r.clone())).collect();
        requests.sort_by_key(|(number, _)| *number);
        assert_eq!(requests.len(), 2, "nothing was heard of the first five");
        let (number, request) = &requests[0];
        assert_eq!((*number, request.begun_us, request.executions), (5, 10, 1));
        assert_eq!(books.told(request), Some(OK));
    }

    #[test]
    fn a_first_success_is_that_of_a_request_begun_since() {
        let ledger = Ledger::default();
        let (sends, takes) = (Handle::Sends(3, Stream::Call), Handle::Takes(1, Consumer::Requests));
        ledger.watch([sends, takes], 100);
        let first = |handle| ledger.marks()[&handle].first_us;
        ledger.hear(3, ended(id(Stream::Call, 0), 99, 150, OK));
        ledger.hear(1, Said::Executed(vec![(id(Stream::Call, 0), 99, 149)]));
        ledger.hear(3, ended(id(Stream::Call, 1), 101, 151, "MessagingTimeout/MaybeSent"));
        assert_eq!((first(sends), first(takes)), (None, None));
        ledger.hear(3, ended(id(Stream::Call, 2), 102, 153, OK));
        ledger.hear(3, ended(id(Stream::Call, 3), 103, 152, OK));
        ledger.hear(1, Said::Executed(vec![(id(Stream::Call, 1), 101, 130)]));
        assert_eq!((first(sends), first(takes)), (Some(152), Some(130)));
        ledger.forget(3);
        assert_eq!(ledger.marks().len(), 1);
    }

    #[test]
    fn a_buffered_cast_succeeds_when_it_is_executed() {
        let ledger = Ledger::default();
        let sends = Handle::Sends(3, Stream::CastBuffered);
        ledger.watch([sends], 0);
        ledger.hear(3, ended(id(Stream::CastBuffered, 0), 1, 2, OK));
        assert_eq!(ledger.marks()[&sends].first_us, None);
        ledger.hear(1, Said::Executed(vec![(id(Stream::CastBuffered, 0), 1, 9)]));
        assert_eq!(ledger.marks()[&sends].first_us, Some(9));
    }

    #[test]
    fn a_fanout_is_repeated_only_by_the_same_server() {
        let ledger = Ledger::default();
        let fanout = id(Stream::Fanout, 0);
        for server in [1, 2, 2] {
            ledger.hear(server, Said::Executed(vec![(fanout, 1, 2)]));
        }
        let books = ledger.into_books();
        let (_, request) = books.requests().next().expect("one request");
        assert_eq!((request.executions, request.surplus_of_each()), (3, 1));
    }
}
