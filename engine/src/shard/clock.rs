//! The clock of a shard: one task that ticks while a deadline is near and sleeps otherwise.
//!
//! Invariants: a source of deadlines rings when it gets its first deadline, or one before those it
//! has; the ticking task asks every source before it sleeps. A panic in a source does not end the
//! task.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::panics::{Foreign, Panics};
use super::wheel::TICK;
use crate::reactor;
use crate::shard::border::doorbell::Doorbell;

/// A source of deadlines.
pub(crate) trait Expires: Send + Sync {
    /// Ends what is due. Returns when it wants to be asked next, if deadlines are left.
    fn expire(&self, now: Instant) -> Option<Instant>;

    /// The engine has ended: ends every wait.
    fn abort(&self);
}

/// Watches the deadlines of one shard.
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

    /// The panic counters of this shard.
    pub(crate) fn panics(&self) -> &Arc<Panics> {
        &self.panics
    }

    pub(crate) fn watch(&self, source: Weak<dyn Expires>) {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.retain(|known| known.strong_count() > 0);
        let stopped = self.stopped.load(Ordering::Acquire);
        if let Some(source) = source.upgrade().filter(|_| stopped) {
            source.abort();
        }
        watched.push(source);
    }

    /// Called by a source that got its first deadline, or one before those it had.
    pub(crate) fn start_ticking(&self) {
        self.armed.store(true, Ordering::Release);
        self.bell.ring();
    }

    /// Ticks for ever, on the shard.
    pub(crate) async fn run(&self) {
        let mut sources = Vec::new();
        let mut next = None;
        loop {
            let due = self.next_tick(next).await;
            reactor::sleep_until(due).await;
            self.armed.store(false, Ordering::Release);
            let now = reactor::now();
            self.record_lateness(now.saturating_duration_since(due));
            next = self.expire(now, &mut sources);
        }
    }

    /// Waits until the next tick is known and returns its time. `next` is when the sources want to
    /// be asked; a ring asks for a tick within `TICK`.
    async fn next_tick(&self, next: Option<Instant>) -> Instant {
        let soon = reactor::now() + TICK;
        if let Some(next) = next.filter(|next| *next <= soon) {
            // The task does not listen to the bell here, so callers that ring pay for no wake-up.
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

    /// The greatest lateness of a tick since the last call.
    pub(crate) fn take_late_max(&self) -> Duration {
        Duration::from_nanos(self.late_max_ns.swap(0, Ordering::Relaxed))
    }

    /// Asks every source. The sources are collected into the scratch vector `sources` first,
    /// because a source may register another one, which needs the lock.
    fn expire(&self, now: Instant, sources: &mut Vec<Arc<dyn Expires>>) -> Option<Instant> {
        self.collect(sources);
        let asked = sources.drain(..).filter_map(|source| {
            let asked = self.panics.contain(Foreign::Task, || source.expire(now));
            // After a panic, the source may have further deadlines.
            asked.unwrap_or(Some(now + TICK))
        });
        asked.min()
    }

    /// The shard has ended: ends every wait of every source.
    pub(crate) fn abort(&self) {
        self.stopped.store(true, Ordering::Release);
        let mut sources = Vec::new();
        self.collect(&mut sources);
        for source in &sources {
            self.panics.contain(Foreign::Task, || source.abort());
        }
    }

    fn collect(&self, sources: &mut Vec<Arc<dyn Expires>>) {
        let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        sources.extend(watched.iter().filter_map(Weak::upgrade));
    }
}

/// The end of a wait that starts now and lasts at most `timeout`. Limited to 34 years, so that
/// clocks and timers can count it.
pub(crate) fn deadline_in(timeout: Duration) -> Instant {
    const TIMEOUT_MAX: Duration = Duration::from_secs(1 << 30);
    reactor::now_off_shard() + timeout.min(TIMEOUT_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_timeout_gives_a_deadline() {
        for timeout in [Duration::MAX, Duration::from_secs(u64::MAX / 10)] {
            let left = deadline_in(timeout).saturating_duration_since(reactor::now_off_shard());
            assert!(left <= Duration::from_secs(1 << 30) && left > Duration::from_secs(1 << 29));
        }
    }

    #[test]
    fn the_greatest_lateness_is_reported_once() {
        let clock = Clock::new(Instant::now());
        clock.record_lateness(Duration::from_millis(7));
        clock.record_lateness(Duration::from_millis(2));
        assert_eq!(clock.take_late_max(), Duration::from_millis(7));
        assert_eq!(clock.take_late_max(), Duration::ZERO);
    }
}
