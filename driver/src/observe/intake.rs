//! What servers and listeners count: each for itself. Those of a transport are added up by whoever
//! asks.
//!
//! Invariant: what waits is counted in when it is taken in and out when it is taken up; what a
//! server that is dropped has done stays in the transport's count, what it still held does not.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::observe::metrics::IntakeMetrics;

/// The live counters of messages that came in.
#[derive(Debug, Default)]
pub(crate) struct IntakeCounters {
    pub(crate) done: AtomicU64,
    pub(crate) duplicates: AtomicU64,
    pub(crate) undecodable: AtomicU64,
    pub(crate) returned: AtomicU64,
    pub(crate) dropped: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) expired: AtomicU64,
    /// Requests by their format: `kombu`, `pika`, both.
    by_format: [AtomicU64; 3],
    waiting: AtomicUsize,
    waiting_bytes: AtomicUsize,
}

/// Counts for one server or listener.
#[derive(Debug)]
pub(crate) struct IntakeRecorder {
    own: Arc<IntakeCounters>,
    all: Arc<IntakeRecorders>,
}

/// The tallies of all servers, or all listeners, of a transport.
#[derive(Debug, Default)]
pub(crate) struct IntakeRecorders(Mutex<All>);

#[derive(Debug, Default)]
struct All {
    working: Vec<Arc<IntakeCounters>>,
    /// Of those that were dropped.
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
    /// A tally among `all`.
    pub(crate) fn new(all: &Arc<IntakeRecorders>) -> Self {
        let own = Arc::<IntakeCounters>::default();
        all.lock().working.push(Arc::clone(&own));
        Self { own, all: Arc::clone(all) }
    }

    /// One more of these.
    pub(crate) fn count(&self, fact: fn(&IntakeCounters) -> &AtomicU64) {
        fact(&self.own).fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a request in the format with this index.
    pub(crate) fn count_format(&self, index: usize) {
        self.own.by_format[index].fetch_add(1, Ordering::Relaxed);
    }

    /// Messages of so many bytes wait from now on.
    pub(crate) fn add_waiting(&self, messages: usize, bytes: usize) {
        self.own.waiting.fetch_add(messages, Ordering::Relaxed);
        self.own.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// One of them waits no longer.
    pub(crate) fn remove_waiting(&self, bytes: usize) {
        self.own.waiting.fetch_sub(1, Ordering::Relaxed);
        self.own.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Messages and bytes that wait.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        let IntakeCounters { waiting, waiting_bytes, .. } = &*self.own;
        (waiting.load(Ordering::Relaxed), waiting_bytes.load(Ordering::Relaxed))
    }

    /// Its own counts.
    pub(crate) fn read(&self) -> IntakeMetrics {
        self.own.read()
    }
}

impl IntakeRecorders {
    /// All of them together.
    pub(crate) fn read(&self) -> IntakeMetrics {
        let all = self.lock();
        all.working.iter().fold(all.ended, |sum, taken| sum.and(&taken.read()))
    }

    fn lock(&self) -> MutexGuard<'_, All> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for IntakeRecorder {
    fn drop(&mut self) {
        let mut all = self.all.lock();
        all.working.retain(|taken| !Arc::ptr_eq(taken, &self.own));
        all.ended = all.ended.and(&IntakeMetrics { waiting: 0, waiting_bytes: 0, ..self.read() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_dropped_server_held_does_not_wait_any_more() {
        let all = Arc::new(IntakeRecorders::default());
        let (one, other) = (IntakeRecorder::new(&all), IntakeRecorder::new(&all));
        one.add_waiting(3, 300);
        other.add_waiting(1, 50);
        one.remove_waiting(100);
        one.count(|taken| &taken.done);
        other.count(|taken| &taken.duplicates);
        assert_eq!((one.read().waiting, one.read().waiting_bytes), (2, 200));
        assert_eq!((all.read().waiting, all.read().waiting_bytes), (3, 250));
        drop(one);
        let all = all.read();
        assert_eq!((all.waiting, all.waiting_bytes), (1, 50));
        assert_eq!((all.done, all.duplicates, other.read().done), (1, 1, 0), "counts only grow");
    }
}
