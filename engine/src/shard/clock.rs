//! Who watches deadlines: one task per shard ticks while anything has one that is near, and sleeps
//! otherwise.
//!
//! Invariant: a slab that got its first deadline, or one before those it has, rings; the ticking
//! task asks every slab before it sleeps. What panics when it is told of a deadline ends no tick.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::panics::{Foreign, Panics};
use super::wheel::TICK;
use crate::reactor;
use crate::shard::border::doorbell::Doorbell;

/// Something with deadlines.
pub(crate) trait Expires: Send + Sync {
    /// Ends what is due; says when it wants to be asked next, while a deadline is left.
    fn expire(&self, now: Instant) -> Option<Instant>;

    /// The engine is gone: ends everything.
    fn abort(&self);
}

/// The deadlines of one shard.
pub(crate) struct Clock {
    start: Instant,
    watched: Mutex<Vec<Weak<dyn Expires>>>,
    armed: AtomicBool,
    bell: Doorbell,
    stopped: AtomicBool,
    late_max_ns: AtomicU64,
    panics: Arc<Panics>,
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Clock").finish_non_exhaustive()
    }
}

impl Clock {
    pub(crate) fn new(start: Instant) -> Self {
        Self {
            start,
            watched: Mutex::new(Vec::new()),
            armed: AtomicBool::new(false),
            bell: Doorbell::new(),
            stopped: AtomicBool::new(false),
            late_max_ns: AtomicU64::new(0),
            panics: Arc::default(),
        }
    }

    pub(crate) fn start(&self) -> Instant {
        self.start
    }

    /// Where panics of this shard are counted.
    pub(crate) fn panics(&self) -> &Arc<Panics> {
        &self.panics
    }

    pub(crate) fn watch(&self, slab: Weak<dyn Expires>) {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.retain(|known| known.strong_count() > 0);
        let stopped = self.stopped.load(Ordering::Acquire);
        if let Some(slab) = slab.upgrade().filter(|_| stopped) {
            slab.abort();
        }
        watched.push(slab);
    }

    /// A slab has a first deadline, or one before those it had.
    pub(crate) fn start_ticking(&self) {
        self.armed.store(true, Ordering::Release);
        self.bell.ring();
    }

    /// Ticks for ever; runs on the shard.
    pub(crate) async fn run(&self) {
        let mut slabs = Vec::new();
        let mut next = None;
        loop {
            let due = self.next_tick(next).await;
            reactor::sleep_until(due).await;
            self.armed.store(false, Ordering::Release);
            let now = reactor::now();
            self.record_lateness(now.saturating_duration_since(due));
            next = self.expire(now, &mut slabs);
        }
    }

    /// When to tick, where the slabs want it `next` and whoever rings within a tick.
    async fn next_tick(&self, next: Option<Instant>) -> Instant {
        let soon = reactor::now() + TICK;
        if let Some(next) = next.filter(|next| *next <= soon) {
            // Without listening to the bell, which whoever rings would pay for.
            return next;
        }
        let rung = std::future::poll_fn(|cx| {
            self.bell.poll_sleep(cx, || self.armed.load(Ordering::Acquire))
        });
        match next {
            None => rung.await,
            Some(next) => {
                let span = next.saturating_duration_since(reactor::now());
                if reactor::within(span, rung).await.is_none() {
                    return next;
                }
            }
        }
        reactor::now() + TICK
    }

    fn record_lateness(&self, late: Duration) {
        self.late_max_ns.fetch_max(late.as_nanos() as u64, Ordering::Relaxed);
    }

    /// The greatest lateness of a tick since this was asked last.
    pub(crate) fn take_late_max(&self) -> Duration {
        Duration::from_nanos(self.late_max_ns.swap(0, Ordering::Relaxed))
    }

    /// `slabs` is a scratch: whoever is told of a deadline may bring a further slab, so none is
    /// told under the lock.
    fn expire(&self, now: Instant, slabs: &mut Vec<Arc<dyn Expires>>) -> Option<Instant> {
        self.collect(slabs);
        let asked = slabs.drain(..).filter_map(|slab| {
            let asked = self.panics.contain(Foreign::Task, || slab.expire(now));
            // Whatever it was, others of its deadlines may be left.
            asked.unwrap_or(Some(now + TICK))
        });
        asked.min()
    }

    /// The shard is gone: nobody will answer any more.
    pub(crate) fn abort(&self) {
        self.stopped.store(true, Ordering::Release);
        let mut slabs = Vec::new();
        self.collect(&mut slabs);
        for slab in &slabs {
            self.panics.contain(Foreign::Task, || slab.abort());
        }
    }

    fn collect(&self, slabs: &mut Vec<Arc<dyn Expires>>) {
        let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        slabs.extend(watched.iter().filter_map(Weak::upgrade));
    }
}

/// The end of a wait that starts now and lasts at most `timeout`. Limited to 34 years, so that clocks
/// and timers can count it.
pub(crate) fn deadline_in(timeout: Duration) -> Instant {
    const TIMEOUT_MAX: Duration = Duration::from_secs(1 << 30);
    reactor::wall() + timeout.min(TIMEOUT_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_timeout_gives_a_deadline() {
        for timeout in [Duration::MAX, Duration::from_secs(u64::MAX / 10)] {
            let left = deadline_in(timeout).saturating_duration_since(reactor::wall());
            assert!(left <= Duration::from_secs(1 << 30) && left > Duration::from_secs(1 << 29));
        }
    }

    #[test]
    fn the_greatest_lateness_is_told_once() {
        let clock = Clock::new(Instant::now());
        clock.record_lateness(Duration::from_millis(7));
        clock.record_lateness(Duration::from_millis(2));
        assert_eq!(clock.take_late_max(), Duration::from_millis(7));
        assert_eq!(clock.take_late_max(), Duration::ZERO);
    }
}
