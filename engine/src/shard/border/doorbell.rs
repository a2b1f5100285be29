//! Waking a sleeping task from another thread, only when it sleeps.
//!
//! A wake-up costs the caller microseconds, so it is paid on the edge alone: the sleeper announces
//! its sleep, then looks again; the caller leaves its work, then looks for an announcement.
//! Whatever the order, one of the two sees the other (loom-tested below). Not here: what the work
//! is.

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

    /// Says that work was left; wakes the sleeper if there is one.
    pub(crate) fn ring(&self) {
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::AcqRel) {
            self.waker.wake();
        }
    }

    /// Sleeps until rung, unless `work` is there already.
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
