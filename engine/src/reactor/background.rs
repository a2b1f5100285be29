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
type WorkResult<T> = Option<Option<T>>;

/// One kind of work. Clones share its thread.
#[derive(Clone, Debug)]
pub(crate) struct Background<T>(Rc<RefCell<Option<watch::Receiver<WorkResult<T>>>>>);

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
        let mut running = self.join_or_start(thread, work)?;
        let ended = async {
            let result = running.wait_for(Option::is_some).await;
            result.ok().and_then(|result| result.clone()).flatten()
        };
        let ended = super::within(limit, ended).await;
        let result =
            ended.ok_or_else(|| io::Error::new(io::ErrorKind::TimedOut, format!("{limit:?}")))?;
        self.0.borrow_mut().take();
        result.ok_or_else(|| io::Error::other("it panicked"))
    }

    fn join_or_start(
        &self,
        thread: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<watch::Receiver<WorkResult<T>>> {
        let mut running = self.0.borrow_mut();
        // A result that arrived in the meantime is too old to use.
        if let Some(known) = running.as_ref().filter(|known| known.borrow().is_none()) {
            return Ok(known.clone());
        }
        let (sender, receiver) = watch::channel(None);
        std::thread::Builder::new().name(thread.to_owned()).spawn(move || {
            super::block_signals();
            let result = catch_unwind(AssertUnwindSafe(work)).ok();
            let _ = sender.send(Some(result));
        })?;
        *running = Some(receiver.clone());
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
    fn slow_work_runs_once_and_each_caller_waits_for_its_limit() {
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
    fn a_panic_of_the_work_is_an_error_and_later_work_runs() {
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
