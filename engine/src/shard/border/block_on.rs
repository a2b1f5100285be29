//! Runs a future on a plain thread.

use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

thread_local! {
    /// One waker per thread, so that a wait allocates nothing. `None` while a wait is running.
    static WAKER: Cell<Option<Waker>> = const { Cell::new(None) };
}

/// Runs `future` on this thread and parks the thread while the future is pending.
///
/// For plain threads only. Inside an async runtime, `.await` the future instead: blocking would
/// stop the runtime.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let waker =
        WAKER.with(Cell::take).unwrap_or_else(|| Waker::from(Arc::new(Unpark(thread::current()))));
    let mut cx = Context::from_waker(&waker);
    let mut future = pin!(future);
    let output = loop {
        match future.as_mut().poll(&mut cx) {
            Poll::Ready(output) => break output,
            Poll::Pending => thread::park(),
        }
    };
    WAKER.with(|cell| cell.set(Some(waker)));
    output
}
