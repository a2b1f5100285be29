//! One task at a time, polled by every caller that waits for it.
//!
//! The driver has no runtime to spawn on: its callers use any executor, or block a thread. So the
//! future of the task is stored here, every waiter polls it, and it wakes all waiters. When a
//! waiter is dropped, the others go on polling; after the last one the future stays parked, and the
//! next caller continues it. Invariants: one future at a time; no lock is held while it is polled
//! or while waiters are woken; a waiter that exists without being polled delays no other waiter.
//! Not here: the result of a task (`open_once`), the deadlines of waiters (`open`).

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use crate::broker::errors::transport_closed;
use crate::error::Error;

/// A task. It must not own its [`SharedTask`], and must hold no lock across an await: without a
/// waiter it makes no progress.
pub(super) type TaskFuture = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

/// Runs one task at a time.
#[derive(Default)]
pub(super) struct SharedTask {
    state: Mutex<State>,
    waiters: Arc<Waiters>,
}

#[derive(Default)]
struct State {
    future: Slot,
    /// The number of the latest task.
    number: u64,
    /// The number and the error of the latest task that failed.
    failure: Option<(u64, Error)>,
    is_closed: bool,
}

/// Where the future of the task is.
#[derive(Default)]
enum Slot {
    /// No task runs.
    #[default]
    Empty,
    Parked(TaskFuture),
    /// A waiter polls it.
    Polled,
}

impl SharedTask {
    /// Waits for the end of the running task; if none runs, starts the one that `begin` returns.
    /// `Ok` means that a task has ended, not necessarily the caller's own.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the task to the other waiters, or to the next caller.
    ///
    /// # Errors
    /// The error of the task; `Closed` after [`close`](Self::close).
    pub(super) async fn run(&self, mut begin: impl FnMut() -> TaskFuture) -> Result<(), Error> {
        let mut waiter = Waiter { task: self, id: self.waiters.next_id(), joined: None };
        poll_fn(|cx| waiter.poll(&mut begin, cx)).await
    }

    /// Whether a task runs, with or without waiters.
    pub(super) fn is_running(&self) -> bool {
        !matches!(self.state().future, Slot::Empty)
    }

    /// Drops the running task; none starts afterwards.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.is_closed = true;
        let future = match std::mem::take(&mut state.future) {
            Slot::Polled => {
                // The waiter that polls it drops it.
                state.future = Slot::Polled;
                None
            }
            Slot::Parked(future) => Some(future),
            Slot::Empty => None,
        };
        drop(state);
        drop(future);
        self.waiters.wake_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Polls the future of a task; parks it if it is pending, else ends the task.
    fn poll(&self, number: u64, mut future: TaskFuture) -> Poll<Result<(), Error>> {
        let waker = Waker::from(Arc::clone(&self.waiters));
        self.waiters.is_woken.store(false, Ordering::Release);
        let unwinding = Unwinding(self);
        let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
        std::mem::forget(unwinding);
        let mut state = self.state();
        let result = match polled {
            Poll::Pending if !state.is_closed => {
                state.future = Slot::Parked(future);
                drop(state);
                // Waiters that registered during the poll may have missed the wake-up.
                if self.waiters.is_woken.swap(false, Ordering::AcqRel) {
                    self.waiters.wake_all();
                }
                return Poll::Pending;
            }
            Poll::Pending => Err(transport_closed()),
            Poll::Ready(result) => result,
        };
        state.future = Slot::Empty;
        if let Err(error) = &result {
            state.failure = Some((number, error.clone()));
        }
        drop(state);
        drop(future);
        self.waiters.wake_all();
        Poll::Ready(result)
    }
}

/// Ends a task whose future panics. It has no result, so its waiters start it again.
struct Unwinding<'a>(&'a SharedTask);

impl Drop for Unwinding<'_> {
    fn drop(&mut self) {
        self.0.state().future = Slot::Empty;
        self.0.waiters.wake_all();
    }
}

/// A caller that waits for a task.
struct Waiter<'a> {
    task: &'a SharedTask,
    id: u64,
    /// The number of the task that it waits for.
    joined: Option<u64>,
}

impl Waiter<'_> {
    fn poll(
        &mut self,
        begin: &mut impl FnMut() -> TaskFuture,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        // Registers before it reads the state, so that it misses no change.
        self.task.waiters.register(self.id, cx.waker());
        loop {
            let mut state = self.task.state();
            let is_idle = matches!(state.future, Slot::Empty);
            if let Some(joined) = self.joined
                && (is_idle || joined != state.number)
            {
                let failure = state.failure.as_ref().filter(|(number, _)| *number == joined);
                return Poll::Ready(failure.map_or(Ok(()), |(_, error)| Err(error.clone())));
            }
            if state.is_closed {
                return Poll::Ready(Err(transport_closed()));
            }
            state.number += u64::from(is_idle);
            let number = state.number;
            let slot = std::mem::replace(&mut state.future, Slot::Polled);
            drop(state);
            let is_newcomer = self.joined.replace(number).is_none();
            let (future, is_stale) = match slot {
                Slot::Polled => return Poll::Pending,
                // A parked task may have failed long ago: its error is not for a newcomer.
                Slot::Parked(future) => (future, is_newcomer),
                Slot::Empty => (begin(), false),
            };
            match self.task.poll(number, future) {
                Poll::Ready(Err(_)) if is_stale => self.joined = None,
                polled => return polled,
            }
        }
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.task.waiters.forget(self.id);
    }
}

/// The wakers of all waiters. It is the waker of the future.
#[derive(Default)]
struct Waiters {
    wakers: Mutex<Wakers>,
    /// The future was woken after its latest poll began.
    is_woken: AtomicBool,
}

#[derive(Default)]
struct Wakers {
    by_id: BTreeMap<u64, Waker>,
    next_id: u64,
}

impl Waiters {
    fn next_id(&self) -> u64 {
        let mut wakers = self.wakers();
        wakers.next_id += 1;
        wakers.next_id
    }

    fn register(&self, id: u64, waker: &Waker) {
        let waker = waker.clone();
        let replaced = self.wakers().by_id.insert(id, waker);
        drop(replaced);
    }

    fn forget(&self, id: u64) {
        let waker = self.wakers().by_id.remove(&id);
        drop(waker);
    }

    /// Wakes all waiters; those that go on waiting register again.
    fn wake_all(&self) {
        let wakers = std::mem::take(&mut self.wakers().by_id);
        for waker in wakers.into_values() {
            // A waker that panics must not prevent the others from being woken.
            let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
        }
    }

    fn wakers(&self) -> MutexGuard<'_, Wakers> {
        self.wakers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Waiters {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_woken.store(true, Ordering::Release);
        self.wake_all();
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::atomic::AtomicUsize;

    use tokio::sync::oneshot;

    use super::*;
    use crate::error::ErrorKind;

    /// A waker that counts wake-ups.
    #[derive(Default)]
    struct Counter(AtomicUsize);

    impl Wake for Counter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Counter {
        fn woken(&self) -> usize {
            self.0.load(Ordering::Relaxed)
        }
    }

    /// A task that the test ends with a result.
    struct ManualTask {
        started: AtomicUsize,
        end: Mutex<Option<oneshot::Sender<Result<(), Error>>>>,
    }

    impl ManualTask {
        fn new() -> Self {
            Self { started: AtomicUsize::new(0), end: Mutex::default() }
        }

        fn begin(&self) -> TaskFuture {
            self.started.fetch_add(1, Ordering::Relaxed);
            let (end, ended) = oneshot::channel();
            *self.end.lock().unwrap() = Some(end);
            Box::pin(async { ended.await.unwrap() })
        }

        fn end(&self, result: Result<(), Error>) {
            self.end.lock().unwrap().take().unwrap().send(result).unwrap();
        }

        fn started(&self) -> usize {
            self.started.load(Ordering::Relaxed)
        }
    }

    fn poll<F: Future>(future: Pin<&mut F>, counter: &Arc<Counter>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(&Waker::from(Arc::clone(counter))))
    }

    fn refused() -> Error {
        Error::new(ErrorKind::TransportDriverError, "refused")
    }

    #[test]
    fn a_dropped_waiter_leaves_the_task_to_the_others() {
        let (task, manual) = (SharedTask::default(), ManualTask::new());
        let counters: [Arc<Counter>; 3] = Default::default();
        for _ in 0..100 {
            assert!(poll(pin!(task.run(|| manual.begin())), &counters[0]).is_pending());
        }
        let mut second = pin!(task.run(|| manual.begin()));
        let mut third = pin!(task.run(|| manual.begin()));
        assert!(poll(second.as_mut(), &counters[1]).is_pending());
        {
            let mut first = pin!(task.run(|| manual.begin()));
            assert!(poll(first.as_mut(), &counters[0]).is_pending());
            assert!(poll(third.as_mut(), &counters[2]).is_pending());
            manual.end(Ok(()));
            // The third waiter polled last, and all are woken.
            assert_eq!(counters.each_ref().map(|one| one.woken()), [1, 1, 1]);
        }
        assert!(
            poll(second, &counters[1]).is_ready(),
            "though the first waiter never polled again"
        );
        assert!(poll(third, &counters[2]).is_ready());
        assert_eq!(manual.started(), 1);
        assert!(task.waiters.wakers().by_id.is_empty() && !task.is_running());
    }

    #[test]
    fn waiters_get_the_error_of_a_failed_task_and_the_next_caller_starts_another() {
        let (task, manual) = (SharedTask::default(), ManualTask::new());
        let counter = Arc::new(Counter::default());
        let begin = || manual.begin();
        let (mut first, mut second) = (pin!(task.run(begin)), pin!(task.run(begin)));
        assert!(poll(first.as_mut(), &counter).is_pending());
        assert!(poll(second.as_mut(), &counter).is_pending());
        manual.end(Err(refused()));
        for waiter in [first, second] {
            let Poll::Ready(result) = poll(waiter, &counter) else { panic!("it has ended") };
            assert_eq!(result.unwrap_err().to_string(), "refused");
        }
        assert!(poll(pin!(task.run(|| manual.begin())), &counter).is_pending());
        assert_eq!(manual.started(), 2);
    }

    #[test]
    fn a_later_caller_does_not_get_the_error_of_an_abandoned_task() {
        let (task, manual) = (SharedTask::default(), ManualTask::new());
        let counter = Arc::new(Counter::default());
        assert!(poll(pin!(task.run(|| manual.begin())), &counter).is_pending());
        manual.end(Err(refused()));
        let mut late = pin!(task.run(|| manual.begin()));
        assert!(poll(late.as_mut(), &counter).is_pending(), "begun anew");
        assert_eq!(manual.started(), 2);
        manual.end(Ok(()));
        assert!(matches!(poll(late, &counter), Poll::Ready(Ok(()))));
    }

    #[test]
    fn a_closed_place_drops_its_task_and_begins_none() {
        let (task, manual) = (SharedTask::default(), ManualTask::new());
        let counter = Arc::new(Counter::default());
        let mut waiter = pin!(task.run(|| manual.begin()));
        assert!(poll(waiter.as_mut(), &counter).is_pending());
        task.close();
        assert_eq!(counter.woken(), 1);
        assert!(manual.end.lock().unwrap().take().unwrap().is_closed(), "it was dropped");
        assert!(poll(waiter, &counter).is_ready());
        let late = leveret_engine::block_on(task.run(|| manual.begin()));
        assert_eq!(late.unwrap_err().kind(), ErrorKind::Closed);
        assert_eq!(manual.started(), 1);
    }

    #[test]
    fn a_task_that_panics_is_started_again() {
        let task = SharedTask::default();
        fn panicked() -> Error {
            panic!("on purpose")
        }
        let panics = || Box::pin(async { Err(panicked()) }) as TaskFuture;
        let ran = std::panic::AssertUnwindSafe(|| leveret_engine::block_on(task.run(panics)));
        assert!(std::panic::catch_unwind(ran).is_err());
        assert!(!task.is_running());
        leveret_engine::block_on(task.run(|| Box::pin(async { Ok(()) }))).unwrap();
    }

    /// A waker that panics.
    struct Broken;

    impl Wake for Broken {
        fn wake(self: Arc<Self>) {
            panic!("a waker panics")
        }
    }

    #[test]
    fn a_waker_that_panics_does_not_keep_other_waiters_asleep() {
        let (task, manual) = (SharedTask::default(), ManualTask::new());
        let (counter, broken) = (Arc::new(Counter::default()), Waker::from(Arc::new(Broken)));
        let mut first = pin!(task.run(|| manual.begin()));
        assert!(first.as_mut().poll(&mut Context::from_waker(&broken)).is_pending());
        let mut second = pin!(task.run(|| manual.begin()));
        assert!(poll(second.as_mut(), &counter).is_pending());
        manual.end(Ok(()));
        assert_eq!(counter.woken(), 1);
        assert!(poll(second, &counter).is_ready());
    }

    #[test]
    fn many_threads_share_a_task_while_some_give_up() {
        let (task, steps) = (SharedTask::default(), AtomicUsize::new(0));
        let begin = || {
            let task = async {
                for _ in 0..50 {
                    tokio::task::yield_now().await;
                }
                Ok(())
            };
            Box::pin(task) as TaskFuture
        };
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (task, steps) = (&task, &steps);
                scope.spawn(move || {
                    for round in 0..200 {
                        if (round + thread) % 3 == 0 {
                            let counter = Arc::new(Counter::default());
                            let _ = poll(pin!(task.run(begin)), &counter);
                        } else {
                            leveret_engine::block_on(task.run(begin)).unwrap();
                            steps.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        assert!(steps.load(Ordering::Relaxed) > 500, "no thread hangs");
        assert!(task.waiters.wakers().by_id.is_empty());
    }
}
