//! The root future of a shard: runs its tasks, and lets them sleep in the ring while there is
//! traffic and in tokio while there is none.
//!
//! One system call a turn submits what the tasks queued, waits, and brings completions. tokio,
//! which runs timers, connects and name resolution, gets its turn when the ring is silent, and at
//! the latest [`SPELL`] after its last one. Not here: operations (`ring`).

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::OwnedFd;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::task::LocalSet;

use super::ring::{File, Ring};
use super::wakeup::Wakeup;
use crate::reactor;

/// How long a ring that has become silent is waited for.
const SILENCE: Duration = Duration::from_millis(1);
/// How long tokio may be without a turn, and so how late its timers may be.
const SPELL: Duration = Duration::from_millis(2);

/// What a shard and its sockets share.
pub(super) struct Driver {
    ring: Rc<Ring>,
    wakeup: Arc<Wakeup>,
    /// Wants the next turn not to sleep.
    restless: RefCell<Option<Waker>>,
    /// When the ring brought something last.
    active: Cell<Option<Instant>>,
}

impl Driver {
    pub(super) fn new(ring: Ring) -> io::Result<Self> {
        let (ring, wakeup) = (Rc::new(ring), Arc::new(Wakeup::new()?));
        Ok(Self { ring, wakeup, restless: RefCell::default(), active: Cell::default() })
    }

    pub(super) fn ring(&self) -> &Rc<Ring> {
        &self.ring
    }

    /// Lets the ring make one turn without sleeping.
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

    /// Runs `program` and what it spawns to the program's end; within tokio's runtime.
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
        self.take_turn(Duration::ZERO);
        let mut now = reactor::now();
        let until = now + SPELL;
        loop {
            self.wakeup.run();
            if let Poll::Ready(result) = tasks.as_mut().poll(&mut Context::from_waker(waker)) {
                return Poll::Ready(result);
            }
            let restless = self.restless.take();
            let sleeps = restless.is_none() && self.is_active(now) && self.wakeup.sleep_in_ring();
            let wait = if sleeps { SILENCE.min(until - now) } else { Duration::ZERO };
            self.take_turn(wait);
            now = reactor::now();
            if let Some(waker) = restless {
                waker.wake();
            }
            if now >= until || !self.is_active(now) {
                ready!(self.rest(outer, notice, now >= until));
            }
        }
    }

    /// Leaves the thread to tokio, because nothing happens or because it must have its turn;
    /// `Ready` if something has happened meanwhile.
    fn rest(&self, outer: &mut Context<'_>, notice: &AsyncFd<OwnedFd>, must: bool) -> Poll<()> {
        self.ring.tell(true);
        let is_quiet = self.take_turn(Duration::ZERO) == 0 && self.wakeup.sleep_in_tokio();
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

    fn take_turn(&self, wait: Duration) -> usize {
        self.ring.enter(wait);
        self.wakeup.awake();
        let count = self.ring.reap();
        if count > 0 {
            self.active.set(Some(reactor::now()));
        }
        count
    }

    /// Whether the ring brought something of late.
    fn is_active(&self, now: Instant) -> bool {
        self.ring.can_wait() && self.active.get().is_some_and(|active| now < active + SILENCE)
    }
}

/// Takes wake-ups out of the ring for ever: that they came is all they say.
async fn listen(ring: Rc<Ring>, wakeup: Arc<Wakeup>) {
    let mut count = vec![0; 8];
    loop {
        count = ring.read(File::Alarm(Arc::clone(&wakeup)), count).await.1.owned();
    }
}
