//! Counts tasks that run on the user's runtime, and waits until the last one has ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// The number of tasks in flight.
#[derive(Default)]
pub(crate) struct InFlight {
    count: AtomicUsize,
    /// Signalled when the count falls to zero.
    is_empty: Notify,
}

/// Counts one task as in flight until it is dropped.
pub(crate) struct InFlightGuard(Arc<InFlight>);

impl InFlight {
    /// Counts one more task.
    pub(crate) fn enter(self: &Arc<Self>) -> InFlightGuard {
        self.count.fetch_add(1, Ordering::AcqRel);
        InFlightGuard(Arc::clone(self))
    }

    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Waits until no task is in flight.
    pub(crate) async fn wait_until_empty(&self) {
        loop {
            let is_empty = self.is_empty.notified();
            if self.count() == 0 {
                return;
            }
            is_empty.await;
        }
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.is_empty.notify_waiters();
        }
    }
}
