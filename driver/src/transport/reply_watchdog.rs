//! Notices that replies stop coming through a connection that stays up.
//!
//! While calls wait and no delivery has come for a second, the engine is asked to verify the
//! consumer of replies. That costs one question to the broker, and nothing while replies come or no
//! call waits. Invariant: one check is scheduled at a time. Not here: how a consumer is verified
//! and made again (the engine).

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::runtime::timer::Timer;
use crate::transport::pending_calls::PendingCalls;
use crate::transport::reply_queue::ReplyQueue;

/// Between two checks.
const INTERVAL: Duration = Duration::from_millis(500);
/// Checks without a delivery before the consumer is verified: the first time, and each time while
/// calls go on waiting.
const QUIET: u64 = 2;
const STILL_QUIET: u64 = 10;

/// Watches the replies of one transport.
pub(crate) struct ReplyWatchdog {
    pending: Arc<PendingCalls>,
    queue: Arc<ReplyQueue>,
    timer: Arc<Timer>,
    /// A check is scheduled.
    is_watching: AtomicBool,
    /// Deliveries at the last check.
    seen: AtomicU64,
    /// Checks since the last delivery.
    quiet: AtomicU64,
}

impl ReplyWatchdog {
    pub(super) fn new(
        pending: &Arc<PendingCalls>,
        queue: &Arc<ReplyQueue>,
        timer: &Arc<Timer>,
    ) -> Arc<Self> {
        let (pending, queue) = (Arc::clone(pending), Arc::clone(queue));
        let (is_watching, seen, quiet) = Default::default();
        Arc::new(Self { pending, queue, timer: Arc::clone(timer), is_watching, seen, quiet })
    }

    /// Watches whether replies come, as a call is about to wait for one.
    pub(crate) fn watch(self: &Arc<Self>) {
        if !self.is_watching.load(Ordering::Relaxed)
            && !self.is_watching.swap(true, Ordering::AcqRel)
        {
            self.quiet.store(0, Ordering::Relaxed);
            self.schedule();
        }
    }

    fn schedule(self: &Arc<Self>) {
        let weak: Weak<Self> = Arc::downgrade(self);
        self.timer.after(INTERVAL, move || {
            if let Some(watchdog) = weak.upgrade() {
                watchdog.check();
            }
        });
    }

    /// Runs on a shard: it must not wait.
    fn check(self: &Arc<Self>) {
        if self.pending.outstanding() == 0 {
            self.is_watching.store(false, Ordering::Release);
            // A call that began meanwhile found the watchdog watching.
            if self.pending.outstanding() == 0 || self.is_watching.swap(true, Ordering::AcqRel) {
                return;
            }
        }
        let received = self.pending.received();
        if self.seen.swap(received, Ordering::Relaxed) == received {
            let quiet = self.quiet.fetch_add(1, Ordering::Relaxed) + 1;
            if quiet == QUIET || quiet.is_multiple_of(STILL_QUIET) {
                self.verify();
            }
        } else {
            self.quiet.store(0, Ordering::Relaxed);
        }
        self.schedule();
    }

    fn verify(&self) {
        let subscriber = self.queue.subscriber();
        if let Some(consumer) = subscriber.and_then(|subscriber| subscriber.consumer()) {
            consumer.verify();
        }
    }
}
