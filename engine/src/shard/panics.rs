//! Contains panics of foreign code on a shard: counts and logs them, and the shard goes on.
//!
//! Foreign code is wakers, sinks, timer actions and log events, because the program's subscriber
//! may panic. Containment costs no allocation, and no taken branch without a panic. Invariant: a
//! panic in foreign code ends neither the shard's clock nor a task of a connection. Panics of the
//! tasks themselves are handled in `tasks`.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;

/// The code that may panic.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Foreign {
    Waker,
    DeliverySink,
    FailureSink,
    TimerAction,
    Subscriber,
    /// A task of the shard itself, contained as a last resort.
    Task,
}

impl Foreign {
    const COUNT: usize = Self::Task as usize + 1;

    const fn name(self) -> &'static str {
        match self {
            Self::Waker => "waker",
            Self::DeliverySink => "delivery sink",
            Self::FailureSink => "refusal sink",
            Self::TimerAction => "timer action",
            Self::Subscriber => "tracing subscriber",
            Self::Task => "task",
        }
    }
}

/// The panic counters of one shard, by the code that panicked. Other threads also call wakers and
/// refusal sinks, so the counters are atomic.
#[derive(Debug, Default)]
pub(crate) struct Panics([AtomicU64; Foreign::COUNT]);

impl Panics {
    /// The number of panics so far.
    pub(crate) fn count(&self) -> u64 {
        self.0.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// Calls foreign code. Returns `None` if it panics.
    #[inline]
    pub(crate) fn contain<T>(&self, what: Foreign, call: impl FnOnce() -> T) -> Option<T> {
        match catch_unwind(AssertUnwindSafe(call)) {
            Ok(result) => Some(result),
            Err(panic) => {
                self.record(what, panic);
                None
            }
        }
    }

    /// Awaits a future. Returns `None` if it panics.
    pub(crate) async fn contain_async<F: Future>(
        &self,
        what: Foreign,
        future: F,
    ) -> Option<F::Output> {
        let mut future = pin!(future);
        poll_fn(|cx| match self.contain(what, || future.as_mut().poll(cx)) {
            Some(poll) => poll.map(Some),
            None => Poll::Ready(None),
        })
        .await
    }

    /// Emits an event of `tracing`.
    pub(crate) fn log(&self, event: impl FnOnce()) {
        self.contain(Foreign::Subscriber, event);
    }

    /// Logs the first panic of a kind, the second, the fourth and so on, so that a sink that always
    /// panics does not flood the log.
    #[cold]
    fn record(&self, what: Foreign, panic: Box<dyn Any + Send>) {
        let count = self.0[what as usize].fetch_add(1, Ordering::Relaxed) + 1;
        let report = move || {
            if count.is_power_of_two() {
                let (what, panic) = (what.name(), text(panic.as_ref()));
                tracing::error!(
                    name: "leveret.engine.panic.caught",
                    what, panic, count, "a panic on a shard was contained"
                );
            }
            drop(panic);
        };
        if let Err(again) = catch_unwind(AssertUnwindSafe(report)) {
            // The subscriber panicked, or the drop of the panic's payload did.
            std::mem::forget(again);
        }
    }
}

fn text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no text")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panics_with_any_payload_are_counted() {
        struct Again;
        impl Drop for Again {
            fn drop(&mut self) {
                panic!("while it is dropped");
            }
        }
        let panics = Panics::default();
        assert_eq!(panics.contain(Foreign::Waker, || 5), Some(5));
        assert_eq!(panics.contain(Foreign::Waker, || panic!("text")), None::<()>);
        let raise = || std::panic::panic_any(Again);
        assert_eq!(panics.contain(Foreign::DeliverySink, raise), None::<()>);
        panics.log(|| panic!("{}", "formatted"));
        assert_eq!(panics.count(), 3);
    }

    #[test]
    fn a_future_may_panic_at_any_poll() {
        let panics = Panics::default();
        let run = |fails: bool| {
            crate::shard::border::block_on::block_on(panics.contain_async(Foreign::Task, async {
                let mut polls = 0;
                poll_fn(|cx| {
                    polls += 1;
                    assert!(!(fails && polls == 2), "at the second poll");
                    cx.waker().wake_by_ref();
                    if polls == 3 { Poll::Ready(()) } else { Poll::Pending }
                })
                .await;
                7
            }))
        };
        assert_eq!((run(false), run(true), panics.count()), (Some(7), None, 1));
    }
}
