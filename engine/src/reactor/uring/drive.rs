//! The root future of a shard: runs its tasks, and sleeps in the ring while there is traffic and in
//! tokio while there is none.
//!
//! One system call per tick submits what the tasks have queued, waits, and returns completions.
//! tokio runs timers, connects and name resolution; the shard yields to it when the ring is silent,
//! and at the latest [`SPELL`] after the last time. An attached shard, on a runtime that has other
//! tasks, never sleeps in the ring. `ring` holds the operations.

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

use super::ring::{File, Ring};
use super::wakeup::Wakeup;

/// Longest time between two yields to tokio under traffic, and so the lateness of its timers.
const SPELL: Duration = Duration::from_millis(2);
/// Longest time between two yields to tokio without traffic, in ticks.
const TURNS: usize = 64;

/// State shared by a shard and its sockets.
pub(super) struct Driver {
    ring: Rc<Ring>,
    wakeup: Arc<Wakeup>,
    /// Waker of a task that requests a tick without sleeping.
    restless: RefCell<Option<Waker>>,
    /// The ring has completed an operation since the last alarm; never set for an attached shard.
    is_lively: Cell<bool>,
    is_guest: bool,
}

impl Driver {
    pub(super) fn new(ring: Ring) -> io::Result<Self> {
        let (ring, wakeup) = (Rc::new(ring), Arc::new(Wakeup::new()?));
        let (restless, is_lively) = (RefCell::default(), Cell::default());
        Ok(Self { ring, wakeup, restless, is_lively, is_guest: false })
    }

    /// Creates the driver of an attached shard, whose thread also runs other tasks.
    pub(super) fn guest(ring: Ring) -> io::Result<Self> {
        Ok(Self { is_guest: true, ..Self::new(ring)? })
    }

    pub(super) fn ring(&self) -> &Rc<Ring> {
        &self.ring
    }

    /// Lets the ring run one tick without sleeping.
    pub(super) async fn turn(&self) {
        let mut is_over = false;
        poll_fn(|cx| {
            if std::mem::replace(&mut is_over, true) {
                return Poll::Ready(());
            }
            self.restless.replace(Some(cx.waker().clone()));
            Poll::Pending
        })
        .await;
    }

    /// Runs `program` and the tasks it spawns until the program ends; must be polled in tokio's
    /// runtime.
    pub(super) async fn drive<T>(&self, program: impl Future<Output = T>) -> io::Result<T> {
        let notice = self.ring.notice().try_clone_to_owned()?;
        #[allow(deprecated, reason = "an OwnedFd keeps its promise; the successor is new in 1.54")]
        let notice = AsyncFd::with_interest(notice, Interest::READABLE)?;
        let waker = Waker::from(Arc::clone(&self.wakeup));
        let tasks = LocalSet::new();
        tasks.spawn_local(listen(Rc::clone(&self.ring), Arc::clone(&self.wakeup)));
        let mut tasks = pin!(tasks.run_until(program));
        Ok(poll_fn(|outer| self.poll(outer, &notice, &waker, tasks.as_mut())).await)
    }

    fn poll<T>(
        &self,
        outer: &mut Context<'_>,
        notice: &AsyncFd<OwnedFd>,
        waker: &Waker,
        mut tasks: Pin<&mut impl Future<Output = T>>,
    ) -> Poll<T> {
        self.wakeup.entered(outer.waker());
        self.wakeup.run();
        self.ring.tell(false);
        self.take_turn(false);
        let mut must = false;
        for turns in 1.. {
            self.wakeup.run();
            if let Poll::Ready(result) = tasks.as_mut().poll(&mut Context::from_waker(waker)) {
                return Poll::Ready(result);
            }
            let restless = self.restless.take();
            let is_lively = self.is_lively.get();
            if is_lively {
                self.ring.set_alarm(SPELL);
            }
            self.take_turn(is_lively && restless.is_none() && self.wakeup.sleep_in_ring());
            if let Some(waker) = restless {
                waker.wake();
            }
            must |= turns % TURNS == 0 && !is_lively;
            if self.ring.is_over() {
                must = true;
                self.is_lively.set(false);
            }
            if must || !self.is_lively.get() {
                ready!(self.rest(outer, notice, must));
            }
        }
        unreachable!("the turns are endless")
    }

    /// Yields the thread to tokio, because nothing happens or because it is due. Returns `Ready` if
    /// something has happened in the meantime.
    fn rest(&self, outer: &mut Context<'_>, notice: &AsyncFd<OwnedFd>, must: bool) -> Poll<()> {
        self.ring.tell(true);
        let is_quiet = self.take_turn(false) == 0 && self.wakeup.sleep_in_tokio();
        if is_quiet {
            while let Poll::Ready(Ok(mut told)) = notice.poll_read_ready(outer) {
                told.clear_ready();
            }
            return Poll::Pending;
        }
        if must {
            outer.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.ring.tell(false);
        Poll::Ready(())
    }

    fn take_turn(&self, waits: bool) -> usize {
        self.ring.enter(waits);
        self.wakeup.awake();
        let count = self.ring.reap();
        if count > 0 {
            self.is_lively.set(!self.is_guest);
        }
        count
    }
}

/// Reads the wake-up event through the ring for ever. Only its completion matters: it ends a wait.
async fn listen(ring: Rc<Ring>, wakeup: Arc<Wakeup>) {
    let mut count = vec![0; 8];
    loop {
        count = ring.read(File::Event(Arc::clone(&wakeup)), count).await.1.owned();
    }
}
