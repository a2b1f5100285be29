//! Wakes a sleeping task from another thread, only if it sleeps.
//!
//! A wake-up costs the caller microseconds, so the caller pays for one only if the task sleeps. The
//! task first sets `asleep` and then checks for work; the caller first stores its work and then
//! checks `asleep`. In every order at least one of them sees the other (tested with loom below).
//! The doorbell does not know the work.

#[cfg(leveret_loom)]
use loom::sync::atomic::{AtomicBool, Ordering, fence};
#[cfg(not(leveret_loom))]
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::task::{Context, Poll};

#[cfg(not(leveret_loom))]
use atomic_waker::AtomicWaker;
#[cfg(leveret_loom)]
use loom::future::AtomicWaker;

#[derive(Debug)]
pub(crate) struct Doorbell {
    asleep: AtomicBool,
    waker: AtomicWaker,
}

impl Doorbell {
    pub(crate) fn new() -> Self {
        Self { asleep: AtomicBool::new(false), waker: AtomicWaker::new() }
    }

    /// Wakes the task if it sleeps. The caller has stored its work before.
    pub(crate) fn ring(&self) {
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::AcqRel) {
            self.waker.wake();
        }
    }

    /// The task is awake and will look for work: a caller need not wake it.
    pub(crate) fn answer(&self) {
        self.asleep.store(false, Ordering::Relaxed);
    }

    /// Resolves when [`ring`](Self::ring) is called, or at once if there is `work`.
    pub(crate) fn poll_sleep(&self, cx: &mut Context<'_>, work: impl Fn() -> bool) -> Poll<()> {
        if work() {
            return Poll::Ready(());
        }
        #[cfg(not(leveret_loom))]
        self.waker.register(cx.waker());
        #[cfg(leveret_loom)]
        self.waker.register_by_ref(cx.waker());
        self.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if work() {
            self.asleep.store(false, Ordering::Relaxed);
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

#[cfg(all(test, leveret_loom))]
mod loom_tests {
    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn loom_no_ring_is_lost() {
        loom::model(|| {
            let bell = Arc::new(Doorbell::new());
            let work = Arc::new(AtomicBool::new(false));
            let caller = {
                let (bell, work) = (Arc::clone(&bell), Arc::clone(&work));
                loom::thread::spawn(move || {
                    work.store(true, Ordering::Relaxed);
                    bell.ring();
                })
            };
            loom::future::block_on(std::future::poll_fn(|cx| {
                bell.poll_sleep(cx, || work.load(Ordering::Relaxed))
            }));
            assert!(work.load(Ordering::Relaxed));
            caller.join().unwrap();
        });
    }
}
