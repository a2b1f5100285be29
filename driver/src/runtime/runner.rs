//! Puts work where an executor wants it, and knows when all of it has ended.
//!
//! The shard hands over what came with one read; [`Processor`] says what to do with an item. Invariant:
//! after `finish` every item taken has been served. Not here: how many threads there are
//! (`executor`).

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

/// Who serves items; a runner holds it weakly, its owner holds the runner.
pub(crate) trait Processor: Send + Sync + 'static {
    /// What is served.
    type Item: Send + 'static;

    /// Serves one item.
    fn process(self: Arc<Self>, item: Self::Item) -> impl Future<Output = ()> + Send;
}

type Rest = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Puts items where the executor wants them.
pub(crate) enum Runner<S: Processor> {
    /// On threads of its own.
    Threads(WorkerPool<S::Item>),
    /// On the user's runtime.
    Runtime { handle: tokio::runtime::Handle, in_flight: Arc<InFlight> },
    /// On the caller's thread; the rest of what could not be finished there goes to a thread.
    Inline { rest: WorkerPool<Rest> },
}

impl<S: Processor> Runner<S> {
    /// A runner of `serving`; `threads` bounds those of [`Executor::Threads`].
    pub(crate) fn new(executor: Executor, threads: usize, serving: Weak<S>) -> Self {
        match executor {
            Executor::Threads => Self::Threads(WorkerPool::new(threads, move |item| {
                if let Some(serving) = serving.upgrade() {
                    block_on(serving.process(item));
                }
            })),
            Executor::Runtime(handle) => Self::Runtime { handle, in_flight: Arc::default() },
            Executor::Inline => Self::Inline { rest: WorkerPool::new(1, block_on) },
        }
    }

    /// Items taken and not begun (on a runtime: not ended).
    pub(crate) fn backlog(&self) -> usize {
        match self {
            Self::Threads(workers) => workers.queued(),
            Self::Runtime { in_flight, .. } => in_flight.count(),
            Self::Inline { rest } => rest.queued(),
        }
    }

    /// Whether any number of items may be served at a time.
    pub(crate) const fn is_unbounded(&self) -> bool {
        matches!(self, Self::Runtime { .. })
    }

    /// What waits for a thread and is `wanted` back. Tasks of a runtime look themselves before they
    /// begin.
    pub(crate) fn withdraw(&self, wanted: impl Fn(&S::Item) -> bool) -> VecDeque<S::Item> {
        match self {
            Self::Threads(workers) => workers.withdraw(wanted),
            Self::Runtime { .. } | Self::Inline { .. } => VecDeque::new(),
        }
    }

    /// Takes all of `items`.
    pub(crate) fn submit(&self, serving: &Arc<S>, items: &mut Vec<S::Item>) {
        match self {
            Self::Threads(workers) => workers.submit(items),
            Self::Runtime { handle, in_flight } => {
                for item in items.drain(..) {
                    let serving = Arc::clone(serving);
                    let guard = in_flight.enter();
                    handle.spawn(async move {
                        serving.process(item).await;
                        drop(guard);
                    });
                }
            }
            Self::Inline { rest } => {
                for item in items.drain(..) {
                    let mut future = Box::pin(Arc::clone(serving).process(item));
                    let mut cx = Context::from_waker(Waker::noop());
                    match catch_panic(|| future.as_mut().poll(&mut cx)) {
                        Ok(Poll::Ready(())) => {}
                        Ok(Poll::Pending) => rest.submit(&mut vec![future as _]),
                        Err(panic) => tracing::error!(
                            name: "leveret.executor.panicked",
                            panic, "what was being served is lost"
                        ),
                    }
                }
            }
        }
    }

    /// Waits until everything taken has been served.
    pub(crate) async fn finish(&self) {
        match self {
            Self::Threads(workers) => workers.finish().await,
            Self::Runtime { in_flight, .. } => in_flight.finished().await,
            Self::Inline { rest } => rest.finish().await,
        }
    }
}
