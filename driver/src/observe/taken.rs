//! What servers and listeners count: each for itself, and all of a transport together.
//!
//! Invariant: what waits is counted in when it is taken in and out when it is taken up, and what a
//! server that is dropped still held leaves the transport's count with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::metrics::IntakeMetrics;

/// The live counters of messages that came in.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(crate) done: AtomicU64,
    pub(crate) duplicates: AtomicU64,
    pub(crate) undecodable: AtomicU64,
    pub(crate) returned: AtomicU64,
    pub(crate) dropped: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) expired: AtomicU64,
    pub(crate) of_kombu: AtomicU64,
    pub(crate) of_pika: AtomicU64,
    pub(crate) of_both: AtomicU64,
    waiting: AtomicUsize,
    waiting_bytes: AtomicUsize,
}

/// Counts for one server or listener, and for all of its transport.
#[derive(Debug)]
pub(crate) struct Tally {
    own: Taken,
    all: Arc<Taken>,
}

impl Taken {
    pub(crate) fn read(&self) -> IntakeMetrics {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        IntakeMetrics {
            done: read(&self.done),
            duplicates: read(&self.duplicates),
            undecodable: read(&self.undecodable),
            returned: read(&self.returned),
            dropped: read(&self.dropped),
            refused: read(&self.refused),
            expired: read(&self.expired),
            of_kombu: read(&self.of_kombu),
            of_pika: read(&self.of_pika),
            of_both: read(&self.of_both),
            waiting: self.waiting.load(Ordering::Relaxed),
            waiting_bytes: self.waiting_bytes.load(Ordering::Relaxed),
        }
    }
}

impl Tally {
    /// A tally whose counts go into `all` too.
    pub(crate) fn new(all: &Arc<Taken>) -> Self {
        Self { own: Taken::default(), all: Arc::clone(all) }
    }

    /// One more of these.
    pub(crate) fn count(&self, fact: fn(&Taken) -> &AtomicU64) {
        fact(&self.own).fetch_add(1, Ordering::Relaxed);
        fact(&self.all).fetch_add(1, Ordering::Relaxed);
    }

    /// Messages of so many bytes wait from now on.
    pub(crate) fn took_in(&self, messages: usize, bytes: usize) {
        for taken in [&self.own, &*self.all] {
            taken.waiting.fetch_add(messages, Ordering::Relaxed);
            taken.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    /// One of them waits no longer.
    pub(crate) fn took_up(&self, bytes: usize) {
        for taken in [&self.own, &*self.all] {
            taken.waiting.fetch_sub(1, Ordering::Relaxed);
            taken.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
    }

    /// Messages and bytes that wait.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        let Taken { waiting, waiting_bytes, .. } = &self.own;
        (waiting.load(Ordering::Relaxed), waiting_bytes.load(Ordering::Relaxed))
    }

    /// Its own counts.
    pub(crate) fn own(&self) -> IntakeMetrics {
        self.own.read()
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        let left = self.own();
        self.all.waiting.fetch_sub(left.waiting, Ordering::Relaxed);
        self.all.waiting_bytes.fetch_sub(left.waiting_bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_dropped_server_held_does_not_wait_any_more() {
        let all = Arc::new(Taken::default());
        let (one, other) = (Tally::new(&all), Tally::new(&all));
        one.took_in(3, 300);
        other.took_in(1, 50);
        one.took_up(100);
        one.count(|taken| &taken.done);
        other.count(|taken| &taken.duplicates);
        assert_eq!((one.own().waiting, one.own().waiting_bytes), (2, 200));
        assert_eq!((all.read().waiting, all.read().waiting_bytes), (3, 250));
        drop(one);
        let all = all.read();
        assert_eq!((all.waiting, all.waiting_bytes), (1, 50));
        assert_eq!((all.done, all.duplicates, other.own().done), (1, 1, 0), "counts only grow");
    }
}
