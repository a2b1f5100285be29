//! Wakes a shard that sleeps in its ring or in tokio, at the cost of a system call only if it
//! sleeps.
//!
//! One atomic state says whether the shard runs its tasks, was woken meanwhile, or sleeps in one of
//! the two. A waker swaps the state, so only one of many pays for the wake-up. Invariant: a shard
//! that was woken since it began its last run does not go to sleep.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Wake, Waker};

use atomic_waker::AtomicWaker;
use rustix::event::{EventfdFlags, eventfd};

const RUNNING: u8 = 0;
const WOKEN: u8 = 1;
const IN_RING: u8 = 2;
const IN_TOKIO: u8 = 3;

/// The waker with which the tasks of a shard are polled.
pub(super) struct Wakeup {
    state: AtomicU8,
    /// Wakes the root future while it sleeps in tokio.
    outer: AtomicWaker,
    /// The ring reads it; writing to it ends a wait there.
    event: OwnedFd,
}

impl Wakeup {
    pub(super) fn new() -> io::Result<Self> {
        let event = eventfd(0, EventfdFlags::CLOEXEC)?;
        Ok(Self { state: AtomicU8::new(RUNNING), outer: AtomicWaker::new(), event })
    }

    pub(super) fn event(&self) -> &OwnedFd {
        &self.event
    }

    /// Registers the waker that polls the root future again.
    pub(super) fn register_outer(&self, outer: &Waker) {
        self.outer.register(outer);
    }

    /// The tasks are about to run.
    pub(super) fn begin_run(&self) {
        self.state.store(RUNNING, Ordering::SeqCst);
    }

    /// Whether something has woken the shard since `begin_run`.
    pub(super) fn is_woken(&self) -> bool {
        self.state.load(Ordering::SeqCst) == WOKEN
    }

    /// The shard no longer sleeps in the ring; a wake-up from now on needs no system call.
    pub(super) fn leave_ring(&self) {
        let _ = self.state.compare_exchange(IN_RING, RUNNING, Ordering::SeqCst, Ordering::SeqCst);
    }

    /// Returns true if the shard may sleep in its ring: nothing has woken it since `begin_run`.
    pub(super) fn sleep_in_ring(&self) -> bool {
        self.sleep(IN_RING)
    }

    /// Returns true if the root future may return pending: nothing has woken it since `begin_run`.
    pub(super) fn sleep_in_tokio(&self) -> bool {
        self.sleep(IN_TOKIO)
    }

    fn sleep(&self, target: u8) -> bool {
        let unless_woken = |state| (state != WOKEN).then_some(target);
        self.state.fetch_update(Ordering::SeqCst, Ordering::SeqCst, unless_woken).is_ok()
    }

    /// Ends a wait in the ring.
    pub(super) fn ring(&self) {
        // Fails only if the counter is full, and then the event is readable already.
        let _ = rustix::io::write(&self.event, &1_u64.to_ne_bytes());
    }
}

impl Wake for Wakeup {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        match self.state.swap(WOKEN, Ordering::SeqCst) {
            IN_RING => self.ring(),
            IN_TOKIO => self.outer.wake(),
            _ => {}
        }
    }
}
