//! Where endpoints run: worker threads with a bounded inbox, a runtime of the user's, or the shard
//! itself.
//!
//! Threads are started as they are needed, never more than the bound, and wait for work once
//! started. What is handed over comes in batches, with one wake-up per idle thread and batch.
//! Invariant: after `finish` every item that was taken in has been worked off and no thread is
//! left. Not here: what an item is.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Where the methods of a server's endpoints run.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum Executor {
    /// Threads of the server, as many as the transport's `executor_threads` at most. Methods may
    /// block.
    #[default]
    Threads,
    /// Tasks on a tokio runtime. Plain methods run there too and must not block it.
    Runtime(tokio::runtime::Handle),
    /// On the shard, between two reads of the socket: the shortest way. A method that takes long
    /// holds up every connection of the shard, so plain methods only, and only short ones.
    Inline,
}

/// Threads that work off items of one kind.
pub(crate) struct Workers<T> {
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    inbox: Mutex<Inbox<T>>,
    /// Signalled for work and for the end.
    changed: Condvar,
    /// Signalled when a thread has ended.
    ended: Notify,
    waiting: AtomicUsize,
    threads_max: usize,
    work: Box<dyn Fn(T) + Send + Sync>,
}

struct Inbox<T> {
    items: VecDeque<T>,
    idle: usize,
    threads: usize,
    is_closed: bool,
}

impl<T: Send + 'static> Workers<T> {
    /// Workers for `work`, which must not panic; at most `threads_max` (at least one) at a time.
    pub(crate) fn new(threads_max: usize, work: impl Fn(T) + Send + Sync + 'static) -> Self {
        let inbox = Inbox { items: VecDeque::new(), idle: 0, threads: 0, is_closed: false };
        let shared = Shared {
            inbox: Mutex::new(inbox),
            changed: Condvar::new(),
            ended: Notify::new(),
            waiting: AtomicUsize::new(0),
            threads_max: threads_max.max(1),
            work: Box::new(work),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Takes in all of `items`, whatever the bound; the caller stops bringing more when told it is
    /// full.
    pub(crate) fn hand_over(&self, items: &mut Vec<T>) {
        let count = items.len();
        let mut inbox = self.shared.lock();
        inbox.items.extend(items.drain(..));
        self.shared.waiting.store(inbox.items.len(), Ordering::Release);
        let wanted = inbox.items.len().saturating_sub(inbox.idle);
        let started = wanted.min(self.shared.threads_max - inbox.threads);
        inbox.threads += started;
        let woken = inbox.idle.min(count);
        drop(inbox);
        (0..woken).for_each(|_| self.shared.changed.notify_one());
        (0..started).for_each(|_| self.start());
    }

    /// Items that no thread has taken up yet.
    pub(crate) fn waiting(&self) -> usize {
        self.shared.waiting.load(Ordering::Acquire)
    }

    fn start(&self) {
        let shared = Arc::clone(&self.shared);
        let started = std::thread::Builder::new()
            .name("leveret-endpoint".into())
            .spawn(move || shared.work_off());
        if let Err(error) = started {
            tracing::warn!(%error, "no further endpoint thread can be started");
            self.shared.lock().threads -= 1;
            self.shared.ended.notify_waiters();
        }
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

impl<T> Shared<T> {
    fn work_off(&self) {
        let mut inbox = self.lock();
        loop {
            if let Some(item) = inbox.items.pop_front() {
                self.waiting.store(inbox.items.len(), Ordering::Release);
                drop(inbox);
                (self.work)(item);
                inbox = self.lock();
            } else if inbox.is_closed {
                inbox.threads -= 1;
                drop(inbox);
                self.ended.notify_waiters();
                return;
            } else {
                inbox.idle += 1;
                inbox = self.changed.wait(inbox).unwrap_or_else(PoisonError::into_inner);
                inbox.idle -= 1;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inbox<T>> {
        // No user code runs under this lock, so a poisoned one is whole.
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }
}

impl<T> Drop for Workers<T> {
    fn drop(&mut self) {
        self.shared.close();
    }
}

/// Counts tasks that run elsewhere, to know when the last has ended.
#[derive(Default)]
pub(crate) struct InFlight {
    count: AtomicUsize,
    ended: Notify,
}

/// One task under way, until dropped.
pub(crate) struct Entered(Arc<InFlight>);

impl InFlight {
    pub(crate) fn enter(self: &Arc<Self>) -> Entered {
        self.count.fetch_add(1, Ordering::AcqRel);
        Entered(Arc::clone(self))
    }

    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Waits until no task is under way.
    pub(crate) async fn finished(&self) {
        loop {
            let ended = self.ended.notified();
            if self.count() == 0 {
                return;
            }
            ended.await;
        }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.ended.notify_waiters();
        }
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
        let workers = Workers::new(3, move |()| {
            meeting.wait();
        });
        workers.hand_over(&mut vec![(), (), ()]);
        barrier.wait();
        workers.hand_over(&mut vec![(), (), ()]);
        barrier.wait();
        assert_eq!(workers.shared.lock().threads, 3);
        leveret_engine::block_on(workers.finish());
        assert_eq!(workers.shared.lock().threads, 0);
    }

    #[test]
    fn finishing_works_off_what_was_taken_in() {
        let (sender, results) = channel();
        let workers = Workers::new(2, move |item| sender.send(item).unwrap());
        workers.hand_over(&mut (0..1000).collect());
        leveret_engine::block_on(workers.finish());
        assert_eq!(workers.waiting(), 0);
        let mut all: Vec<i32> = results.try_iter().collect();
        all.sort_unstable();
        assert_eq!(all, (0..1000).collect::<Vec<_>>());
    }

    #[test]
    fn one_item_starts_one_thread() {
        let (sender, results) = channel();
        let workers = Workers::new(64, move |item: u8| sender.send(item).unwrap());
        for item in 0..5 {
            workers.hand_over(&mut vec![item]);
            assert_eq!(results.recv().unwrap(), item);
        }
        assert!(workers.shared.lock().threads <= 5);
    }
}
