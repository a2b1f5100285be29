//! Blocking work on a thread of its own, which is never joined.
//!
//! For work that cannot be interrupted: the system's resolver, a closure of the user. Invariant: at
//! most one thread works for one `Background`, however many callers stop waiting for it. A panic of
//! the work is an error for those who wait.

use std::cell::RefCell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::watch;

/// The result of the work once it has ended; the inner option is `None` if it panicked.
type Outcome<T> = Option<Option<T>>;

/// One kind of work. Clones share its thread.
#[derive(Clone, Debug)]
pub(crate) struct Background<T>(Rc<RefCell<Option<watch::Receiver<Outcome<T>>>>>);

impl<T> Default for Background<T> {
    fn default() -> Self {
        Self(Rc::default())
    }
}

impl<T: Clone + Send + Sync + 'static> Background<T> {
    /// Returns the result of the running work, or starts `work` if none is running. Waits for
    /// `limit` at most.
    pub(crate) async fn run(
        &self,
        thread: &str,
        limit: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        let mut under_way = self.join_or_start(thread, work)?;
        let ended = async {
            let outcome = under_way.wait_for(Option::is_some).await;
            outcome.ok().and_then(|outcome| outcome.clone()).flatten()
        };
        let ended = super::within(limit, ended).await;
        let outcome =
            ended.ok_or_else(|| io::Error::new(io::ErrorKind::TimedOut, format!("{limit:?}")))?;
        self.0.borrow_mut().take();
        outcome.ok_or_else(|| io::Error::other("it panicked"))
    }

    fn join_or_start(
        &self,
        thread: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<watch::Receiver<Outcome<T>>> {
        let mut under_way = self.0.borrow_mut();
        // A result that arrived in the meantime is too old to use.
        if let Some(known) = under_way.as_ref().filter(|known| known.borrow().is_none()) {
            return Ok(known.clone());
        }
        let (sender, receiver) = watch::channel(None);
        std::thread::Builder::new().name(thread.to_owned()).spawn(move || {
            let outcome = catch_unwind(AssertUnwindSafe(work)).ok();
            let _ = sender.send(Some(outcome));
        })?;
        *under_way = Some(receiver.clone());
        Ok(receiver)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn run<F: Future>(test: F) -> F::Output {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(test)
    }

    #[test]
    fn work_that_is_slow_is_waited_for_within_the_limit_and_done_once() {
        run(async {
            let background = Background::default();
            let begun = Arc::new(AtomicUsize::new(0));
            let work = || {
                let begun = Arc::clone(&begun);
                move || {
                    begun.fetch_add(1, Ordering::SeqCst);
                    std::thread::sleep(Duration::from_millis(200));
                    7
                }
            };
            for _ in 0..20 {
                let error = background.run("slow", Duration::from_millis(1), work()).await;
                assert_eq!(error.unwrap_err().kind(), io::ErrorKind::TimedOut);
            }
            let limit = Duration::from_secs(20);
            assert_eq!(background.run("slow", limit, work()).await.unwrap(), 7);
            assert_eq!(begun.load(Ordering::SeqCst), 1, "all of them waited for one thread");
            assert_eq!(background.run("slow", limit, || 8).await.unwrap(), 8, "and then anew");
        });
    }

    #[test]
    fn a_panic_is_an_error_and_the_next_one_works() {
        run(async {
            let background = Background::default();
            let limit = Duration::from_secs(20);
            let panics = || -> u8 { panic!("on purpose") };
            let error = background.run("panics", limit, panics).await.unwrap_err();
            assert_eq!(error.to_string(), "it panicked");
            assert_eq!(background.run("works", limit, || 1).await.unwrap(), 1);
        });
    }
}
