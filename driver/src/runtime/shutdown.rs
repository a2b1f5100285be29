//! The shutdown of a server or listener in oslo's two steps: `stop`, then `wait`.
//!
//! `stop` ends the intake of messages; `wait` finishes those taken in, then closes. Each of the
//! three actions runs once. A caller that arrives while one runs waits for it. If the caller that
//! runs it drops its future, the next caller runs that action again, and none before it: what needs
//! the connection cannot be repeated once it is closed. The owner defines the actions.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use leveret_engine::TicketError;
use tokio::sync::OnceCell;

use crate::error::{Error, ErrorKind};
use crate::runtime::timer::Timer;

/// Default time after which a step that has not finished is logged as a possible hang; as in oslo.
pub(crate) const LOG_AFTER: Duration = Duration::from_secs(30);

/// The shutdown of one server or listener.
pub(crate) struct Shutdown {
    /// `server` or `listener`, for log and error texts.
    owner: &'static str,
    timer: Arc<Timer>,
    log_after: Duration,
    stopped: OnceCell<()>,
    finished: OnceCell<()>,
    closed: OnceCell<()>,
}

impl Shutdown {
    /// Creates the shutdown of an `owner`. A `log_after` of zero logs no hangs.
    pub(crate) fn new(owner: &'static str, timer: &Arc<Timer>, log_after: Duration) -> Self {
        let [stopped, finished, closed] = [const { OnceCell::const_new() }; 3];
        Self { owner, timer: Arc::clone(timer), log_after, stopped, finished, closed }
    }

    /// Runs the first step, unless it has run.
    pub(crate) async fn stop(
        &self,
        step: impl Future<Output = Result<(), Error>>,
    ) -> Result<(), Error> {
        self.warn_if_slow("stop", run_once(&self.stopped, step)).await
    }

    /// Runs all that has not run yet, whatever fails. Returns the first error.
    pub(crate) async fn wait(
        &self,
        stop: impl Future<Output = Result<(), Error>>,
        finish: impl Future<Output = Result<(), Error>>,
        close: impl Future<Output = Result<(), Error>>,
    ) -> Result<(), Error> {
        let all = async {
            let stopped = run_once(&self.stopped, stop).await;
            let finished = run_once(&self.finished, finish).await;
            let closed = run_once(&self.closed, close).await;
            stopped.and(finished).and(closed)
        };
        self.warn_if_slow("wait", all).await
    }

    /// Waits for a step, for at most `timeout`.
    pub(crate) async fn with_timeout(
        &self,
        timeout: Duration,
        step: impl Future<Output = Result<(), Error>>,
    ) -> Result<(), Error> {
        let owner = self.owner;
        match self.timer.timeout(timeout, step).await {
            Ok(result) => result,
            Err(TicketError::TimedOut) => {
                let text =
                    format!("the {owner} did not end within {timeout:?}; its endpoints work on");
                Err(Error::new(ErrorKind::TaskTimeout, text))
            }
            Err(TicketError::Aborted) => {
                let text = format!("the engine stopped before the {owner}; its endpoints work on");
                Err(Error::new(ErrorKind::Closed, text))
            }
        }
    }

    /// Whether the first step has finished.
    pub(crate) fn has_stopped(&self) -> bool {
        self.stopped.initialized()
    }

    /// Runs a step to its end, and logs a warning when it takes longer than `log_after`. The
    /// caller's thread logs, not the timer: on a shard, a `tracing` subscriber that blocks would
    /// delay connections. The step is boxed because callers hold it in several nested futures.
    async fn warn_if_slow<T>(&self, name: &str, step: impl Future<Output = T>) -> T {
        let mut step = Box::pin(step);
        if !self.log_after.is_zero() {
            match self.timer.timeout(self.log_after, step.as_mut()).await {
                Ok(result) => return result,
                Err(TicketError::TimedOut) => self.warn_of_hang(name),
                Err(TicketError::Aborted) => {}
            }
        }
        step.await
    }

    fn warn_of_hang(&self, what: &str) {
        let (seconds, whose) = (self.log_after.as_secs_f64(), self.owner);
        tracing::warn!(
            name: "leveret.ending.hangs",
            seconds,
            "Possible hang: {what} of a {whose} has not finished; an endpoint may block"
        );
    }
}

/// Runs a step unless it has run. Only the caller that ran the step gets its error.
async fn run_once(
    done: &OnceCell<()>,
    step: impl Future<Output = Result<(), Error>>,
) -> Result<(), Error> {
    let mut result = Ok(());
    done.get_or_init(|| async { result = step.await }).await;
    result
}
