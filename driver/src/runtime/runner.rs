//! Runs items on the chosen executor, and waits until all of them have ended.
//!
//! The shard submits the items of one read together; a [`Processor`] processes one item. Invariant:
//! after `finish` every submitted item has been processed. The threads are those of `workers`.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

use leveret_engine::block_on;

use crate::runtime::executor::Executor;
use crate::runtime::in_flight::InFlight;
use crate::runtime::panics::catch_panic;
use crate::runtime::workers::WorkerPool;

/// Processes items. A processor owns its runner; the runner holds the processor weakly.
pub(crate) trait Processor: Send + Sync + 'static {
    /// The type of an item.
    type Item: Send + 'static;

    /// Processes one item.
    fn process(self: Arc<Self>, item: Self::Item) -> impl Future<Output = ()> + Send;
}

/// The future of an item that was pending after its first poll.
type PendingItem = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs items where the executor says.
pub(crate) enum Runner<P: Processor> {
    /// On the runner's own threads.
    Threads(WorkerPool<P::Item>),
    /// On the user's runtime.
    Runtime { handle: tokio::runtime::Handle, in_flight: Arc<InFlight> },
    /// On the thread that submits an item. An item that is pending after its first poll continues
    /// on a thread.
    Inline { pending: WorkerPool<PendingItem> },
    /// On the thread that submits an item, which is a shard's. An item that is pending after its
    /// first poll continues as a task there.
    Local { in_flight: Arc<InFlight> },
}

impl<P: Processor> Runner<P> {
    /// Creates a runner for `processor`. `threads` limits the threads of [`Executor::Threads`].
    pub(crate) fn new(executor: Executor, threads: usize, processor: Weak<P>) -> Self {
        match executor {
            Executor::Threads => Self::Threads(WorkerPool::new(threads, move |item| {
                if let Some(processor) = processor.upgrade() {
                    block_on(processor.process(item));
                }
            })),
            Executor::Runtime(handle) => Self::Runtime { handle, in_flight: Arc::default() },
            Executor::Inline => Self::Inline { pending: WorkerPool::new(1, block_on) },
            Executor::Local => Self::Local { in_flight: Arc::default() },
        }
    }

    /// Returns the number of items submitted and not started. On a runtime: not ended.
    pub(crate) fn backlog(&self) -> usize {
        match self {
            Self::Threads(workers) => workers.queued(),
            Self::Runtime { in_flight, .. } | Self::Local { in_flight } => in_flight.count(),
            Self::Inline { pending } => pending.queued(),
        }
    }

    /// Whether any number of items may run at a time.
    pub(crate) const fn is_unbounded(&self) -> bool {
        matches!(self, Self::Runtime { .. } | Self::Local { .. })
    }

    /// Removes the `wanted` items that no thread has started, and returns them. It returns none
    /// on a runtime, whose tasks check for a stop themselves before they start.
    pub(crate) fn withdraw(&self, wanted: impl Fn(&P::Item) -> bool) -> VecDeque<P::Item> {
        match self {
            Self::Threads(workers) => workers.withdraw(wanted),
            Self::Runtime { .. } | Self::Inline { .. } | Self::Local { .. } => VecDeque::new(),
        }
    }

    /// Submits all of `items`.
    pub(crate) fn submit(&self, processor: &Arc<P>, items: &mut Vec<P::Item>) {
        match self {
            Self::Threads(workers) => workers.submit(items),
            Self::Runtime { handle, in_flight } => {
                for item in items.drain(..) {
                    let processor = Arc::clone(processor);
                    let guard = in_flight.enter();
                    handle.spawn(async move {
                        processor.process(item).await;
                        drop(guard);
                    });
                }
            }
            Self::Inline { pending } => {
                for future in items.drain(..).filter_map(|item| begin(processor, item)) {
                    pending.submit(&mut vec![future]);
                }
            }
            Self::Local { in_flight } => {
                for future in items.drain(..).filter_map(|item| begin(processor, item)) {
                    let guard = in_flight.enter();
                    tokio::task::spawn_local(async move {
                        future.await;
                        drop(guard);
                    });
                }
            }
        }
    }

    /// Waits until every submitted item has been processed.
    pub(crate) async fn finish(&self) {
        match self {
            Self::Threads(workers) => workers.finish().await,
            Self::Runtime { in_flight, .. } | Self::Local { in_flight } => {
                in_flight.wait_until_empty().await;
            }
            Self::Inline { pending } => pending.finish().await,
        }
    }
}

/// Polls the future of an item once, and returns it if it is pending.
fn begin<P: Processor>(processor: &Arc<P>, item: P::Item) -> Option<PendingItem> {
    let mut future = Box::pin(Arc::clone(processor).process(item));
    let mut cx = Context::from_waker(Waker::noop());
    match catch_panic(|| future.as_mut().poll(&mut cx)) {
        Ok(Poll::Ready(())) => None,
        Ok(Poll::Pending) => Some(future),
        Err(panic) => {
            tracing::error!(
                name: "leveret.executor.panicked",
                panic, "what was being served is lost"
            );
            None
        }
    }
}
