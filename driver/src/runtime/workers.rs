//! A pool of worker threads with one unbounded queue.
//!
//! The pool starts a thread when an item waits and no thread is idle, up to a maximum. A thread
//! that had no work for [`KEEP_ALIVE`] ends, except the last one. The pool wakes one thread at a
//! time, the one that worked last. That thread wakes the next one if it finds more items than its
//! own, so a few short items cost one wake-up and many long ones get all threads.
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

/// Threads that work off items of one kind.
pub(crate) struct WorkerPool<T> {
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    inbox: Mutex<Inbox<T>>,
    /// Signalled when a thread has ended.
    ended: Notify,
    waiting: AtomicUsize,
    threads_max: usize,
    keep_alive: Duration,
    work: Box<dyn Fn(T) + Send + Sync>,
}

struct Inbox<T> {
    items: VecDeque<T>,
    /// Threads that wait to be called, the hottest last.
    idle: Vec<Thread>,
    threads: usize,
    /// A thread was called or started, and has not looked for an item yet.
    is_called: bool,
    is_closed: bool,
}

/// Who is to come for the items.
enum Call {
    Wake(Thread),
    Start,
}

impl<T> Inbox<T> {
    /// Calls a thread if items wait, none is on its way, and one is to be had.
    fn call(&mut self, threads_max: usize) -> Option<Call> {
        if self.items.is_empty() || self.is_called {
            return None;
        }
        let call = match self.idle.pop() {
            Some(thread) => Call::Wake(thread),
            None if self.threads < threads_max => {
                self.threads += 1;
                Call::Start
            }
            None => return None,
        };
        self.is_called = true;
        Some(call)
    }
}

impl<T: Send + 'static> WorkerPool<T> {
    /// WorkerPool for `work`, of which a panic ends the item and nothing else; at most `threads_max`
    /// (at least one) at a time.
    pub(crate) fn new(threads_max: usize, work: impl Fn(T) + Send + Sync + 'static) -> Self {
        Self::kept_alive(KEEP_ALIVE, threads_max, work)
    }

    fn kept_alive(
        keep_alive: Duration,
        threads_max: usize,
        work: impl Fn(T) + Send + Sync + 'static,
    ) -> Self {
        let inbox = Inbox {
            items: VecDeque::new(),
            idle: Vec::new(),
            threads: 0,
            is_called: false,
            is_closed: false,
        };
        let shared = Shared {
            inbox: Mutex::new(inbox),
            ended: Notify::new(),
            waiting: AtomicUsize::new(0),
            threads_max: threads_max.max(1),
            keep_alive,
            work: Box::new(work),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Takes in all of `items`, whatever the bound; the caller stops bringing more when told it is
    /// full.
    pub(crate) fn submit(&self, items: &mut Vec<T>) {
        let mut inbox = self.shared.lock();
        inbox.items.extend(items.drain(..));
        self.shared.waiting.store(inbox.items.len(), Ordering::Release);
        let call = inbox.call(self.shared.threads_max);
        drop(inbox);
        self.shared.obey(call);
    }

    /// Items that no thread has taken up yet.
    pub(crate) fn queued(&self) -> usize {
        self.shared.waiting.load(Ordering::Acquire)
    }

    /// Takes back the items that are `wanted` and that no thread has taken up yet.
    pub(crate) fn withdraw(&self, wanted: impl Fn(&T) -> bool) -> VecDeque<T> {
        let mut inbox = self.shared.lock();
        let (back, rest) = std::mem::take(&mut inbox.items).into_iter().partition(wanted);
        inbox.items = rest;
        self.shared.waiting.store(inbox.items.len(), Ordering::Release);
        back
    }

    /// Works off what is there, ends the threads, waits for them.
    pub(crate) async fn finish(&self) {
        self.shared.close();
        loop {
            let ended = self.shared.ended.notified();
            if self.shared.lock().threads == 0 {
                return;
            }
            ended.await;
        }
    }
}

impl<T: Send + 'static> Shared<T> {
    fn obey(self: &Arc<Self>, call: Option<Call>) {
        match call {
            None => {}
            Some(Call::Wake(thread)) => thread.unpark(),
            Some(Call::Start) => self.start(),
        }
    }

    fn start(self: &Arc<Self>) {
        let shared = Arc::clone(self);
        let started =
            thread::Builder::new().name("leveret-endpoint".into()).spawn(move || shared.work_off());
        if let Err(error) = started {
            tracing::warn!(
                name: "leveret.executor.no_thread",
                %error, "no further endpoint thread can be started"
            );
            let mut inbox = self.lock();
            inbox.threads -= 1;
            inbox.is_called = false;
            // Others may have run out of work meanwhile, and new work relied on this one.
            let call = inbox.call(0);
            drop(inbox);
            self.obey(call);
            self.ended.notify_waiters();
        }
    }

    fn work_off(self: &Arc<Self>) {
        let mut inbox = self.lock();
        inbox.is_called = false;
        loop {
            if let Some(item) = inbox.items.pop_front() {
                self.waiting.store(inbox.items.len(), Ordering::Release);
                let call = inbox.call(self.threads_max);
                drop(inbox);
                self.obey(call);
                if let Err(panic) = catch_panic(|| (self.work)(item)) {
                    tracing::error!(
                        name: "leveret.executor.panicked", panic, "what was being served is lost"
                    );
                }
                inbox = self.lock();
            } else if inbox.is_closed {
                inbox.threads -= 1;
                drop(inbox);
                self.ended.notify_waiters();
                return;
            } else {
                let Some(called) = self.idle(inbox) else { return };
                inbox = called;
            }
        }
    }

    /// Waits to be called, or for the end; `None` once this thread has waited for too long and is
    /// counted no more.
    fn idle<'a>(&'a self, mut inbox: MutexGuard<'a, Inbox<T>>) -> Option<MutexGuard<'a, Inbox<T>>> {
        let own = thread::current();
        let id = own.id();
        inbox.idle.push(own);
        // Work may have left an unpark behind: one wake-up without a call says nothing.
        let mut has_waited = false;
        loop {
            let is_last = inbox.threads == 1;
            drop(inbox);
            match is_last {
                true => thread::park(),
                false => thread::park_timeout(self.keep_alive / 2),
            }
            inbox = self.lock();
            let Some(place) = inbox.idle.iter().position(|thread| thread.id() == id) else {
                inbox.is_called = false;
                return Some(inbox);
            };
            if has_waited && inbox.threads > 1 {
                inbox.idle.remove(place);
                inbox.threads -= 1;
                return None;
            }
            has_waited = true;
        }
    }
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, Inbox<T>> {
        // No user code runs under this lock, so a poisoned one is whole.
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        let mut inbox = self.lock();
        inbox.is_closed = true;
        let idle = std::mem::take(&mut inbox.idle);
        drop(inbox);
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
    fn items_run_side_by_side_up_to_the_bound() {
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
    fn threads_without_work_end_but_for_one() {
        let barrier = Arc::new(Barrier::new(8));
        let meeting = Arc::clone(&barrier);
        let keep_alive = Duration::from_millis(20);
        let workers = WorkerPool::kept_alive(keep_alive, 8, move |()| {
            meeting.wait();
        });
        for _ in 0..3 {
            // All of them are needed again each time.
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
    fn finishing_works_off_what_was_taken_in() {
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
    fn what_nobody_took_up_can_be_taken_back() {
        let (release, blocked) = channel::<()>();
        let (sender, results) = channel();
        let blocked = Mutex::new(blocked);
        let workers = WorkerPool::new(1, move |item: u8| {
            sender.send(item).unwrap();
            let _ = blocked.lock().unwrap().recv();
        });
        workers.submit(&mut vec![0]);
        assert_eq!(results.recv().unwrap(), 0, "taken up, and held there");
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
    fn a_blocked_thread_holds_up_nobody() {
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
            // Each item needs all threads at once; some of them leave an unpark behind.
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
                    met.recv_timeout(patience).expect("all threads come");
                }
            }
        });
        leveret_engine::block_on(workers.finish());
    }
}
