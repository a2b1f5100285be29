//! The live counters of a transport.
//!
//! Each thread that calls, casts or notifies writes them: one relaxed addition for each event, and
//! one reading of the clock at the end of a call. Invariant: a call is counted once, by how it
//! ended; a call whose future was dropped counts as abandoned.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::error::{Error, ErrorKind};
use crate::observe::histogram::Latencies;
use crate::observe::intake::IntakeRecorders;
use crate::observe::metrics::{CallMetrics, CastMetrics, NotificationMetrics};
use crate::runtime::timer;

/// The live counters of a transport.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Requests received by all servers of the transport.
    pub(crate) served: Arc<IntakeRecorders>,
    /// Notifications received by all listeners of the transport.
    pub(crate) heard: Arc<IntakeRecorders>,
    latencies: Latencies,
    retries: AtomicU64,
    fallbacks: AtomicU64,
    done: AtomicU64,
    remote_errors: AtomicU64,
    timed_out: AtomicU64,
    undeliverable: AtomicU64,
    delivery_failures: AtomicU64,
    failed_otherwise: AtomicU64,
    abandoned: AtomicU64,
    casts_confirmed: AtomicU64,
    casts_buffered: AtomicU64,
    casts_failed: AtomicU64,
    notifications_sent: AtomicU64,
    notifications_failed: AtomicU64,
}

/// A call in progress. Dropping it counts the call and its latency.
pub(crate) struct CallGuard<'a> {
    counters: &'a Counters,
    start: Instant,
    /// The counter of how the call ends: `abandoned` until `finish`.
    end: &'a AtomicU64,
}

impl Counters {
    /// Starts to count a call that began at `start`.
    pub(crate) fn start_call(&self, start: Instant) -> CallGuard<'_> {
        CallGuard { counters: self, start, end: &self.abandoned }
    }

    /// Counts a cast by whether it was confirmed.
    pub(crate) fn count_cast<T>(&self, result: &Result<T, Error>) {
        add(if result.is_ok() { &self.casts_confirmed } else { &self.casts_failed });
    }

    /// Counts a buffered cast by whether the outbox accepted it.
    pub(crate) fn count_buffered_cast<T>(&self, result: &Result<T, Error>) {
        add(if result.is_ok() { &self.casts_buffered } else { &self.casts_failed });
    }

    /// Counts a notification to one topic by whether it was sent.
    pub(crate) fn count_notification<T>(&self, result: &Result<T, Error>) {
        add(if result.is_ok() { &self.notifications_sent } else { &self.notifications_failed });
    }

    /// Counts a further attempt to publish a request or notification.
    pub(crate) fn count_retry(&self) {
        add(&self.retries);
    }

    /// Counts a request that was returned from its first address and sent to the alternative.
    pub(crate) fn count_fallback(&self) {
        add(&self.fallbacks);
    }

    pub(crate) fn read_fallbacks(&self) -> u64 {
        read(&self.fallbacks)
    }

    pub(crate) fn read_retries(&self) -> u64 {
        read(&self.retries)
    }

    pub(crate) fn read_calls(&self, outstanding: usize) -> CallMetrics {
        CallMetrics {
            outstanding,
            done: read(&self.done),
            remote_errors: read(&self.remote_errors),
            timed_out: read(&self.timed_out),
            undeliverable: read(&self.undeliverable),
            delivery_failures: read(&self.delivery_failures),
            failed_otherwise: read(&self.failed_otherwise),
            abandoned: read(&self.abandoned),
            latency: self.latencies.read(),
        }
    }

    pub(crate) fn read_casts(&self, refused: u64) -> CastMetrics {
        CastMetrics {
            confirmed: read(&self.casts_confirmed),
            buffered: read(&self.casts_buffered),
            failed: read(&self.casts_failed),
            refused,
        }
    }

    pub(crate) fn read_notifications(&self) -> NotificationMetrics {
        NotificationMetrics {
            sent: read(&self.notifications_sent),
            failed: read(&self.notifications_failed),
        }
    }
}

impl CallGuard<'_> {
    /// Counts the call by its result.
    pub(crate) fn finish<T>(mut self, result: &Result<T, Error>) {
        let counters = self.counters;
        self.end = match result.as_ref().map_err(Error::kind) {
            Ok(_) => &counters.done,
            Err(ErrorKind::RemoteError) => &counters.remote_errors,
            Err(ErrorKind::MessagingTimeout) => &counters.timed_out,
            Err(ErrorKind::MessageUndeliverable) => &counters.undeliverable,
            Err(ErrorKind::MessageDeliveryFailure) => &counters.delivery_failures,
            Err(_) => &counters.failed_otherwise,
        };
    }
}

impl Drop for CallGuard<'_> {
    fn drop(&mut self) {
        add(self.end);
        let latency = timer::now().saturating_duration_since(self.start);
        self.counters.latencies.observe(latency);
    }
}

fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_counted_once_by_how_it_ended() {
        let counters = Counters::default();
        let call = |kind| {
            let result: Result<(), Error> = Err(Error::new(kind, "no"));
            counters.start_call(timer::now()).finish(&result);
        };
        counters.start_call(timer::now()).finish(&Ok(()));
        call(ErrorKind::MessagingTimeout);
        call(ErrorKind::MessagingTimeout);
        call(ErrorKind::MessageUndeliverable);
        call(ErrorKind::Closed);
        drop(counters.start_call(timer::now()));
        let calls = counters.read_calls(3);
        assert_eq!((calls.outstanding, calls.done, calls.timed_out), (3, 1, 2));
        assert_eq!((calls.undeliverable, calls.failed_otherwise, calls.abandoned), (1, 1, 1));
        assert_eq!((calls.latency.count(), calls.ended()), (6, 6));
    }
}
