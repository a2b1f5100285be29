//! Notices that replies do not come: a process that is connected and deaf.
//!
//! While calls wait and nothing has arrived for a second, the engine is asked to make sure of the
//! consumer of replies; it costs one question to the broker, and nothing while replies come or no
//! call waits. Invariant: one look is planned at a time. Not here: how a consumer is made anew (the
//! engine).

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::transport::transport::{Shared, Transport};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(500);
/// Looks without a reply before the consumer is verified: first, and while calls go on waiting.
const QUIET: u64 = 2;
const STILL_QUIET: u64 = 10;

/// What is known of the replies that calls wait for.
#[derive(Default)]
pub(super) struct ReplyWatchdog {
    /// A look is planned.
    is_watching: AtomicBool,
    /// Deliveries seen at the last look.
    seen: AtomicU64,
    /// Looks since the last delivery.
    quiet: AtomicU64,
}

impl Transport {
    /// A call is about to wait: watches whether replies come.
    pub(crate) fn watch_replies(&self) {
        let canary = &self.shared.canary;
        if !canary.is_watching.load(Ordering::Relaxed)
            && !canary.is_watching.swap(true, Ordering::AcqRel)
        {
            canary.quiet.store(0, Ordering::Relaxed);
            plan(&self.shared);
        }
    }
}

fn plan(shared: &Arc<Shared>) {
    let weak: Weak<Shared> = Arc::downgrade(shared);
    shared.timer.after(LOOK, move || {
        if let Some(shared) = weak.upgrade() {
            look(&shared);
        }
    });
}

/// Runs where timers run: it must not wait.
fn look(shared: &Arc<Shared>) {
    let canary = &shared.canary;
    if shared.book.outstanding() == 0 {
        canary.is_watching.store(false, Ordering::Release);
        // A call that began meanwhile took the watch for granted.
        if shared.book.outstanding() == 0 || canary.is_watching.swap(true, Ordering::AcqRel) {
            return;
        }
    }
    let received = shared.book.received();
    if canary.seen.swap(received, Ordering::Relaxed) == received {
        let quiet = canary.quiet.fetch_add(1, Ordering::Relaxed) + 1;
        if quiet == QUIET || quiet.is_multiple_of(STILL_QUIET) {
            verify(shared);
        }
    } else {
        canary.quiet.store(0, Ordering::Relaxed);
    }
    plan(shared);
}

fn verify(shared: &Shared) {
    let subscriber = shared.replies.get().and_then(|queue| queue.subscriber());
    if let Some(consumer) = subscriber.and_then(|subscriber| subscriber.consumer()) {
        consumer.verify();
    }
}
