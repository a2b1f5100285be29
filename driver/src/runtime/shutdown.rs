//! How what serves comes to its end: first it takes nothing more, then what it took is finished.
//!
//! The life cycle is oslo's. Each step runs once, whoever asks for it how often; who comes
//! meanwhile waits for the one under way, and if whoever runs it gives up, the next begins it
//! again. Not here: what the steps do.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use leveret_engine::TicketError;
use tokio::sync::OnceCell;

use crate::error::{Error, ErrorKind};
use crate::runtime::timer::Timer;

/// As oslo: what takes longer to stop or to end is said to hang.
pub(crate) const LOG_AFTER: Duration = Duration::from_secs(30);

/// The end of one server or listener.
pub(crate) struct Shutdown {
    /// Whose it is, for texts.
    whose: &'static str,
    timer: Arc<Timer>,
    log_after: Duration,
    stopped: OnceCell<()>,
    ended: OnceCell<()>,
}

impl Shutdown {
    pub(crate) fn new(whose: &'static str, timer: &Arc<Timer>, log_after: Duration) -> Self {
        let (stopped, ended) = (OnceCell::new(), OnceCell::new());
        Self { whose, timer: Arc::clone(timer), log_after, stopped, ended }
    }

    /// Runs the first step, unless it has run.
    pub(crate) async fn stop(
        &self,
        step: impl Future<Output = Result<(), Error>>,
    ) -> Result<(), Error> {
        self.watched("stop", once(&self.stopped, step)).await
    }

    /// Runs both steps, unless they have run.
    pub(crate) async fn wait(
        &self,
        stop: impl Future<Output = Result<(), Error>>,
        rest: impl Future<Output = Result<(), Error>>,
    ) -> Result<(), Error> {
        let both = async {
            let stopped = once(&self.stopped, stop).await;
            stopped.and(rest.await)
        };
        self.watched("wait", once(&self.ended, both)).await
    }

    /// Waits for a step as long as `timeout` at most.
    pub(crate) async fn with_timeout(
        &self,
        timeout: Duration,
        step: impl Future<Output = Result<(), Error>>,
    ) -> Result<(), Error> {
        let whose = self.whose;
        match self.timer.timeout(timeout, step).await {
            Ok(ended) => ended,
            Err(TicketError::TimedOut) => {
                let text =
                    format!("the {whose} did not end within {timeout:?}; its endpoints work on");
                Err(Error::new(ErrorKind::TaskTimeout, text))
            }
            Err(TicketError::Aborted) => {
                let text = format!("the engine stopped before the {whose}; its endpoints work on");
                Err(Error::new(ErrorKind::Closed, text))
            }
        }
    }

    /// Whether it takes nothing more.
    pub(crate) fn has_stopped(&self) -> bool {
        self.stopped.initialized()
    }

    /// Runs a step to its end, and says in the log when that takes long. Said by the caller, not by
    /// the timer: on a shard, a subscriber that blocks would hold up connections. Boxed: rarely
    /// needed, and callers hold the step several times over.
    async fn watched<T>(&self, what: &str, step: impl Future<Output = T>) -> T {
        let mut step = Box::pin(step);
        if !self.log_after.is_zero() {
            match self.timer.timeout(self.log_after, step.as_mut()).await {
                Ok(ended) => return ended,
                Err(TicketError::TimedOut) => self.warn_of_hanging(what),
                Err(TicketError::Aborted) => {}
            }
        }
        step.await
    }

    fn warn_of_hanging(&self, what: &str) {
        let (seconds, whose) = (self.log_after.as_secs_f64(), self.whose);
        tracing::warn!(
            name: "leveret.ending.hangs",
            seconds,
            "Possible hang: {what} of a {whose} has not finished; an endpoint may block"
        );
    }
}

/// One caller, who ran the step, is told how it ended.
async fn once(
    done: &OnceCell<()>,
    step: impl Future<Output = Result<(), Error>>,
) -> Result<(), Error> {
    let mut result = Ok(());
    done.get_or_init(|| async { result = step.await }).await;
    result
}
