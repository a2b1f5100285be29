//! The root future of a shard: runs its tasks, and sleeps in the ring while there is traffic and in
//! tokio while there is none.
//!
//! One system call per tick submits what the tasks have queued, waits, and returns completions.
//! tokio runs timers, connects and name resolution; the shard yields to it when the ring is silent,
//! and at the latest [`TOKIO_INTERVAL`] after the last time. An attached shard, on a runtime that
//! has other tasks, never sleeps in the ring. `ring` holds the operations.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::OwnedFd;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::task::LocalSet;

use crate::reactor::uring::ring::{File, Ring};
use crate::reactor::uring::wakeup::Wakeup;

/// Longest time between two yields to tokio under traffic, and so the lateness of its timers.
const TOKIO_INTERVAL: Duration = Duration::from_millis(2);
/// Longest time between two yields to tokio without traffic, in ticks.
const TOKIO_INTERVAL_TICKS: usize = 64;

/// How often the tasks run before the next tick while they wake each other.
const POLLS_PER_TICK: usize = 8;

/// State shared by a shard and its sockets.
pub(super) struct Driver {
    ring: Rc<Ring>,
    wakeup: Arc<Wakeup>,
    /// Waker of a task that requests a tick without sleeping.
    poll_requested: RefCell<Option<Waker>>,
    /// The ring has completed an operation since the last alarm; never set for an attached shard.
    has_traffic: Cell<bool>,
    is_attached: bool,
}

impl Driver {
    pub(super) fn new(ring: Ring) -> io::Result<Self> {
        let (ring, wakeup) = (Rc::new(ring), Arc::new(Wakeup::new()?));
        let (poll_requested, has_traffic) = (RefCell::default(), Cell::default());
        Ok(Self { ring, wakeup, poll_requested, has_traffic, is_attached: false })
    }

    /// Creates the driver of an attached shard, whose thread also runs other tasks.
    pub(super) fn attached(ring: Ring) -> io::Result<Self> {
        Ok(Self { is_attached: true, ..Self::new(ring)? })
    }

    pub(super) fn ring(&self) -> &Rc<Ring> {
        &self.ring
    }

    /// Lets the ring run one tick without sleeping.
    pub(super) async fn poll_io(&self) {
        let mut is_over = false;
        poll_fn(|cx| {
            if std::mem::replace(&mut is_over, true) {
                return Poll::Ready(());
            }
            self.poll_requested.replace(Some(cx.waker().clone()));
            Poll::Pending
        })
        .await;
    }

    /// Runs `program` and the tasks it spawns until the program ends; must be polled in tokio's
    /// runtime.
    pub(super) async fn drive<T>(&self, program: impl Future<Output = T>) -> io::Result<T> {
        let event = self.ring.completion_event().try_clone_to_owned()?;
        #[allow(deprecated, reason = "an OwnedFd keeps its promise; the successor is new in 1.54")]
        let event = AsyncFd::with_interest(event, Interest::READABLE)?;
        let waker = Waker::from(Arc::clone(&self.wakeup));
        let tasks = LocalSet::new();
        tasks.spawn_local(read_wakeups(Rc::clone(&self.ring), Arc::clone(&self.wakeup)));
        let mut tasks = pin!(tasks.run_until(program));
        Ok(poll_fn(|outer| self.poll(outer, &event, &waker, tasks.as_mut())).await)
    }

    fn poll<T>(
        &self,
        outer: &mut Context<'_>,
        event: &AsyncFd<OwnedFd>,
        waker: &Waker,
        mut tasks: Pin<&mut impl Future<Output = T>>,
    ) -> Poll<T> {
        self.wakeup.register_outer(outer.waker());
        self.wakeup.begin_run();
        self.ring.set_notify(false);
        self.tick(false);
        let mut is_due = false;
        for ticks in 1.. {
            // The root future is polled before the tasks: what they tell it would wait for a tick.
            for _ in 0..POLLS_PER_TICK {
                self.wakeup.begin_run();
                if let Poll::Ready(result) = tasks.as_mut().poll(&mut Context::from_waker(waker)) {
                    return Poll::Ready(result);
                }
                if !self.wakeup.is_woken() {
                    break;
                }
            }
            let poll_requested = self.poll_requested.take();
            let has_traffic = self.has_traffic.get();
            if has_traffic {
                self.ring.set_alarm(TOKIO_INTERVAL);
            }
            self.tick(has_traffic && poll_requested.is_none() && self.wakeup.sleep_in_ring());
            if let Some(waker) = poll_requested {
                waker.wake();
            }
            is_due |= ticks % TOKIO_INTERVAL_TICKS == 0 && !has_traffic;
            if self.ring.take_alarm() {
                is_due = true;
                self.has_traffic.set(false);
            }
            if is_due || !self.has_traffic.get() {
                ready!(self.yield_to_tokio(outer, event, is_due));
            }
        }
        unreachable!("the ticks are endless")
    }

    /// Yields the thread to tokio, because nothing happens or because it is due. Returns `Ready` if
    /// something has happened in the meantime.
    fn yield_to_tokio(
        &self,
        outer: &mut Context<'_>,
        event: &AsyncFd<OwnedFd>,
        is_due: bool,
    ) -> Poll<()> {
        self.ring.set_notify(true);
        let is_quiet = self.tick(false) == 0 && self.wakeup.sleep_in_tokio();
        if is_quiet {
            while let Poll::Ready(Ok(mut ready)) = event.poll_read_ready(outer) {
                ready.clear_ready();
            }
            return Poll::Pending;
        }
        if is_due {
            outer.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.ring.set_notify(false);
        Poll::Ready(())
    }

    fn tick(&self, waits: bool) -> usize {
        self.ring.enter(waits);
        self.wakeup.leave_ring();
        let count = self.ring.reap();
        if count > 0 {
            self.has_traffic.set(!self.is_attached);
        }
        count
    }
}

/// Reads the wake-up event through the ring for ever. Only its completion matters: it ends a wait.
async fn read_wakeups(ring: Rc<Ring>, wakeup: Arc<Wakeup>) {
    let mut count = vec![0; 8];
    loop {
        count = ring.read(File::Event(Arc::clone(&wakeup)), count).await.1.owned();
    }
}
