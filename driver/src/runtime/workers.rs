//! A pool of worker threads with one queue.
//!
//! The pool starts a thread when an item waits and no thread is idle, up to a maximum. A thread
//! that had no work for [`KEEP_ALIVE`] ends, except the last one. The pool wakes one thread at a
//! time, the one that worked last. That thread wakes the next one if it finds more items than its
//! own, so a few short items cost one wake-up and many long ones get all threads. The queue itself
//! has no limit; callers read its length and stop submitting.
//! Invariants: while items wait and a thread is idle or could be started, one thread is on its way
//! to them; after `finish` every submitted item has been processed and no thread is left.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::Duration;

use tokio::sync::Notify;

use crate::runtime::panics::catch_panic;

/// A thread ends after it had no work for this long.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Threads that process items of one type.
pub(crate) struct WorkerPool<T> {
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    state: Mutex<State<T>>,
    /// Signalled when a thread has ended.
    thread_ended: Notify,
    /// The length of the queue, readable without the lock.
    queued: AtomicUsize,
    threads_max: usize,
    keep_alive: Duration,
    process: Box<dyn Fn(T) + Send + Sync>,
}

struct State<T> {
    queue: VecDeque<T>,
    /// Parked threads, the one that worked last at the end.
    idle: Vec<Thread>,
    threads: usize,
    /// A thread was unparked or started and has not looked at the queue yet.
    is_thread_coming: bool,
    is_closed: bool,
}

/// How the next thread gets to the queue.
enum NextThread {
    Unpark(Thread),
    Start,
}

impl<T> State<T> {
    /// Chooses a thread for the queue, unless it is empty, a thread is coming already, or all
    /// `threads_max` threads work.
    fn next_thread(&mut self, threads_max: usize) -> Option<NextThread> {
        if self.queue.is_empty() || self.is_thread_coming {
            return None;
        }
        let next = match self.idle.pop() {
            Some(thread) => NextThread::Unpark(thread),
            None if self.threads < threads_max => {
                self.threads += 1;
                NextThread::Start
            }
            None => return None,
        };
        self.is_thread_coming = true;
        Some(next)
    }
}

impl<T: Send + 'static> WorkerPool<T> {
    /// Creates a pool that runs `process` for each item, on at most `threads_max` threads (at
    /// least one). A panic of `process` ends that item only.
    pub(crate) fn new(threads_max: usize, process: impl Fn(T) + Send + Sync + 'static) -> Self {
        Self::with_keep_alive(KEEP_ALIVE, threads_max, process)
    }

    fn with_keep_alive(
        keep_alive: Duration,
        threads_max: usize,
        process: impl Fn(T) + Send + Sync + 'static,
    ) -> Self {
        let state = State {
            queue: VecDeque::new(),
            idle: Vec::new(),
            threads: 0,
            is_thread_coming: false,
            is_closed: false,
        };
        let shared = Shared {
            state: Mutex::new(state),
            thread_ended: Notify::new(),
            queued: AtomicUsize::new(0),
            threads_max: threads_max.max(1),
            keep_alive,
            process: Box::new(process),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Queues all of `items`.
    pub(crate) fn submit(&self, items: &mut Vec<T>) {
        let mut state = self.shared.lock();
        state.queue.extend(items.drain(..));
        self.shared.queued.store(state.queue.len(), Ordering::Release);
        let next = state.next_thread(self.shared.threads_max);
        drop(state);
        self.shared.bring(next);
    }

    /// Returns the number of items that no thread has started.
    pub(crate) fn queued(&self) -> usize {
        self.shared.queued.load(Ordering::Acquire)
    }

    /// Removes the `wanted` items that no thread has started, and returns them.
    pub(crate) fn withdraw(&self, wanted: impl Fn(&T) -> bool) -> VecDeque<T> {
        let mut state = self.shared.lock();
        let (withdrawn, rest) = std::mem::take(&mut state.queue).into_iter().partition(wanted);
        state.queue = rest;
        self.shared.queued.store(state.queue.len(), Ordering::Release);
        withdrawn
    }

    /// Processes the queued items, ends the threads and waits for them.
    pub(crate) async fn finish(&self) {
        self.shared.close();
        loop {
            let ended = self.shared.thread_ended.notified();
            if self.shared.lock().threads == 0 {
                return;
            }
            ended.await;
        }
    }
}

impl<T: Send + 'static> Shared<T> {
    fn bring(self: &Arc<Self>, next: Option<NextThread>) {
        match next {
            None => {}
            Some(NextThread::Unpark(thread)) => thread.unpark(),
            Some(NextThread::Start) => self.start(),
        }
    }

    fn start(self: &Arc<Self>) {
        let shared = Arc::clone(self);
        let started = thread::Builder::new().name("leveret-endpoint".into()).spawn(move || {
            leveret_engine::block_signals();
            shared.run();
        });
        if let Err(error) = started {
            tracing::warn!(
                name: "leveret.executor.no_thread",
                %error, "no further endpoint thread can be started"
            );
            let mut state = self.lock();
            state.threads -= 1;
            state.is_thread_coming = false;
            // Other threads may have gone idle while items that arrived relied on this thread.
            let next = state.next_thread(0);
            drop(state);
            self.bring(next);
            self.thread_ended.notify_waiters();
        }
    }

    /// The body of a thread: processes items until the pool closes or the thread is idle too long.
    fn run(self: &Arc<Self>) {
        let mut state = self.lock();
        state.is_thread_coming = false;
        loop {
            if let Some(item) = state.queue.pop_front() {
                self.queued.store(state.queue.len(), Ordering::Release);
                let next = state.next_thread(self.threads_max);
                drop(state);
                self.bring(next);
                if let Err(panic) = catch_panic(|| (self.process)(item)) {
                    tracing::error!(
                        name: "leveret.executor.panicked", panic, "what was being served is lost"
                    );
                }
                state = self.lock();
            } else if state.is_closed {
                state.threads -= 1;
                drop(state);
                self.thread_ended.notify_waiters();
                return;
            } else {
                let Some(woken) = self.park(state) else { return };
                state = woken;
            }
        }
    }

    /// Parks the thread until it is chosen or the pool closes. Returns `None` once it was idle for
    /// too long and no longer belongs to the pool.
    fn park<'a>(&'a self, mut state: MutexGuard<'a, State<T>>) -> Option<MutexGuard<'a, State<T>>> {
        let own = thread::current();
        let id = own.id();
        state.idle.push(own);
        // User code may have left an unpark token behind: the first wake-up may be spurious.
        let mut has_waited = false;
        loop {
            let is_last = state.threads == 1;
            drop(state);
            match is_last {
                true => thread::park(),
                false => thread::park_timeout(self.keep_alive / 2),
            }
            state = self.lock();
            let Some(position) = state.idle.iter().position(|thread| thread.id() == id) else {
                state.is_thread_coming = false;
                return Some(state);
            };
            if has_waited && state.threads > 1 {
                state.idle.remove(position);
                state.threads -= 1;
                return None;
            }
            has_waited = true;
        }
    }
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // No user code runs under this lock, so the state behind a poisoned one is consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        let idle = std::mem::take(&mut state.idle);
        drop(state);
        idle.iter().for_each(Thread::unpark);
    }
}

impl<T> Drop for WorkerPool<T> {
    fn drop(&mut self) {
        self.shared.close();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn items_run_in_parallel_up_to_the_maximum() {
        let barrier = Arc::new(Barrier::new(4));
        let meeting = Arc::clone(&barrier);
        let workers = WorkerPool::new(3, move |()| {
            meeting.wait();
        });
        workers.submit(&mut vec![(), (), ()]);
        barrier.wait();
        workers.submit(&mut vec![(), (), ()]);
        barrier.wait();
        assert_eq!(workers.shared.lock().threads, 3);
        leveret_engine::block_on(workers.finish());
        assert_eq!(workers.shared.lock().threads, 0);
    }

    #[test]
    fn idle_threads_end_except_one() {
        let barrier = Arc::new(Barrier::new(8));
        let meeting = Arc::clone(&barrier);
        let keep_alive = Duration::from_millis(20);
        let workers = WorkerPool::with_keep_alive(keep_alive, 8, move |()| {
            meeting.wait();
        });
        for _ in 0..3 {
            // Each round needs all threads again.
            workers.submit(&mut vec![(); 8]);
            while workers.shared.lock().threads > 1 {
                thread::sleep(Duration::from_millis(1));
            }
        }
        thread::sleep(3 * keep_alive);
        assert_eq!(workers.shared.lock().threads, 1);
        leveret_engine::block_on(workers.finish());
        assert_eq!(workers.shared.lock().threads, 0);
    }

    #[test]
    fn finish_processes_every_submitted_item() {
        let (sender, results) = channel();
        let workers = WorkerPool::new(2, move |item| sender.send(item).unwrap());
        workers.submit(&mut (0..1000).collect());
        leveret_engine::block_on(workers.finish());
        assert_eq!(workers.queued(), 0);
        let mut all: Vec<i32> = results.try_iter().collect();
        all.sort_unstable();
        assert_eq!(all, (0..1000).collect::<Vec<_>>());
    }

    #[test]
    fn items_not_started_can_be_withdrawn() {
        let (release, blocked) = channel::<()>();
        let (sender, results) = channel();
        let blocked = Mutex::new(blocked);
        let workers = WorkerPool::new(1, move |item: u8| {
            sender.send(item).unwrap();
            let _ = blocked.lock().unwrap().recv();
        });
        workers.submit(&mut vec![0]);
        assert_eq!(results.recv().unwrap(), 0, "started, and blocked there");
        workers.submit(&mut vec![1, 2, 3, 4]);
        assert_eq!(workers.withdraw(|item| item.is_multiple_of(2)), [2, 4]);
        assert_eq!(workers.queued(), 2);
        drop(release);
        leveret_engine::block_on(workers.finish());
        assert_eq!(results.try_iter().collect::<Vec<_>>(), [1, 3]);
    }

    #[test]
    fn one_item_starts_one_thread() {
        let (sender, results) = channel();
        let workers = WorkerPool::new(64, move |item: u8| sender.send(item).unwrap());
        for item in 0..5 {
            workers.submit(&mut vec![item]);
            assert_eq!(results.recv().unwrap(), item);
        }
        assert!(workers.shared.lock().threads <= 5);
    }

    #[test]
    fn a_blocked_thread_delays_no_other_item() {
        let (release, blocked) = channel::<()>();
        let (sender, results) = channel();
        let blocked = Mutex::new(blocked);
        let workers = WorkerPool::new(2, move |item: u8| {
            if item == 0 {
                let _ = blocked.lock().unwrap().recv();
            }
            sender.send(item).unwrap();
        });
        workers.submit(&mut vec![0, 1, 2]);
        assert_eq!([results.recv().unwrap(), results.recv().unwrap()], [1, 2]);
        for item in 3..100 {
            workers.submit(&mut vec![item]);
            assert_eq!(results.recv().unwrap(), item);
        }
        drop(release);
        assert_eq!(results.recv().unwrap(), 0);
        leveret_engine::block_on(workers.finish());
    }

    #[test]
    fn no_item_waits_while_a_thread_idles() {
        const MEETING: usize = 3;
        let barrier = Barrier::new(MEETING);
        let (sender, met) = channel();
        let workers = WorkerPool::new(MEETING, move |item: usize| {
            // Each item needs all threads at once; some threads leave an unpark token behind.
            barrier.wait();
            if item.is_multiple_of(2) {
                thread::current().unpark();
            }
            sender.send(item).unwrap();
        });
        let workers = &workers;
        thread::scope(|scope| {
            for round in 0..2000 {
                for item in 0..MEETING - 1 {
                    scope.spawn(move || workers.submit(&mut vec![round + item]));
                }
                workers.submit(&mut vec![round]);
                for _ in 0..MEETING {
                    let patience = std::time::Duration::from_secs(20);
                    met.recv_timeout(patience).expect("all threads work");
                }
            }
        });
        leveret_engine::block_on(workers.finish());
    }
}
