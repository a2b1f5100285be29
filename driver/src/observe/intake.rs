//! Counters of received messages: one set for each server or listener, summed up on reading.
//!
//! Invariants: a message counts as waiting from its arrival until a thread starts it; the counts of
//! a dropped server stay in the transport's sum, the messages it still held do not.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::observe::metrics::IntakeMetrics;

/// The live counters of the messages that one server or listener received.
#[derive(Debug, Default)]
pub(crate) struct IntakeCounters {
    pub(crate) done: AtomicU64,
    pub(crate) duplicates: AtomicU64,
    pub(crate) undecodable: AtomicU64,
    pub(crate) returned: AtomicU64,
    pub(crate) dropped: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) expired: AtomicU64,
    /// Requests by the index of their format: `kombu`, `pika`, both.
    by_format: [AtomicU64; 3],
    waiting: AtomicUsize,
    waiting_bytes: AtomicUsize,
}

/// Counts for one server or listener. Dropping it adds its counts to the sum of ended ones.
#[derive(Debug)]
pub(crate) struct IntakeRecorder {
    counters: Arc<IntakeCounters>,
    recorders: Arc<IntakeRecorders>,
}

/// The counters of all servers, or of all listeners, of a transport.
#[derive(Debug, Default)]
pub(crate) struct IntakeRecorders(Mutex<Recorders>);

#[derive(Debug, Default)]
struct Recorders {
    live: Vec<Arc<IntakeCounters>>,
    /// The sum of those that were dropped.
    ended: IntakeMetrics,
}

impl IntakeCounters {
    fn read(&self) -> IntakeMetrics {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let [of_kombu, of_pika, of_both] = self.by_format.each_ref().map(read);
        IntakeMetrics {
            done: read(&self.done),
            duplicates: read(&self.duplicates),
            undecodable: read(&self.undecodable),
            returned: read(&self.returned),
            dropped: read(&self.dropped),
            refused: read(&self.refused),
            expired: read(&self.expired),
            of_kombu,
            of_pika,
            of_both,
            waiting: self.waiting.load(Ordering::Relaxed),
            waiting_bytes: self.waiting_bytes.load(Ordering::Relaxed),
        }
    }
}

impl IntakeRecorder {
    /// Creates a recorder and registers its counters with `recorders`.
    pub(crate) fn new(recorders: &Arc<IntakeRecorders>) -> Self {
        let counters = Arc::<IntakeCounters>::default();
        recorders.lock().live.push(Arc::clone(&counters));
        Self { counters, recorders: Arc::clone(recorders) }
    }

    /// Adds one to the selected counter.
    pub(crate) fn count(&self, select: fn(&IntakeCounters) -> &AtomicU64) {
        select(&self.counters).fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a request in the format with this index.
    pub(crate) fn count_format(&self, index: usize) {
        self.counters.by_format[index].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts received messages as waiting; `bytes` is the total size of their bodies.
    pub(crate) fn add_waiting(&self, messages: usize, bytes: usize) {
        self.counters.waiting.fetch_add(messages, Ordering::Relaxed);
        self.counters.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts one message of `bytes` as no longer waiting.
    pub(crate) fn remove_waiting(&self, bytes: usize) {
        self.counters.waiting.fetch_sub(1, Ordering::Relaxed);
        self.counters.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Returns the number of waiting messages and the total size of their bodies.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        let IntakeCounters { waiting, waiting_bytes, .. } = &*self.counters;
        (waiting.load(Ordering::Relaxed), waiting_bytes.load(Ordering::Relaxed))
    }

    /// Returns the counts of this server or listener.
    pub(crate) fn read(&self) -> IntakeMetrics {
        self.counters.read()
    }
}

impl IntakeRecorders {
    /// Returns the sum of all recorders, ended ones included.
    pub(crate) fn read(&self) -> IntakeMetrics {
        let recorders = self.lock();
        recorders.live.iter().fold(recorders.ended, |sum, counters| sum.plus(&counters.read()))
    }

    fn lock(&self) -> MutexGuard<'_, Recorders> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for IntakeRecorder {
    fn drop(&mut self) {
        let counts = IntakeMetrics { waiting: 0, waiting_bytes: 0, ..self.read() };
        let mut recorders = self.recorders.lock();
        recorders.live.retain(|counters| !Arc::ptr_eq(counters, &self.counters));
        recorders.ended = recorders.ended.plus(&counts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_held_by_a_dropped_server_no_longer_count_as_waiting() {
        let all = Arc::new(IntakeRecorders::default());
        let (one, other) = (IntakeRecorder::new(&all), IntakeRecorder::new(&all));
        one.add_waiting(3, 300);
        other.add_waiting(1, 50);
        one.remove_waiting(100);
        one.count(|counters| &counters.done);
        other.count(|counters| &counters.duplicates);
        assert_eq!((one.read().waiting, one.read().waiting_bytes), (2, 200));
        assert_eq!((all.read().waiting, all.read().waiting_bytes), (3, 250));
        drop(one);
        let all = all.read();
        assert_eq!((all.waiting, all.waiting_bytes), (1, 50));
        assert_eq!((all.done, all.duplicates, other.read().done), (1, 1, 0), "counts only grow");
    }
}
