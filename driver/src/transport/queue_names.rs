//! Names of reply and fanout queues: random, or the same after each restart (oslo's queue manager).
//!
//! Not here: the counter of stable names (`name_counter`), what else a name consists of
//! (`dialect`).

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::broker::errors;
use crate::config::options::stable_names::StableNames;
use crate::error::{Error, ErrorKind};
use crate::message::ids::IdSource;
use crate::runtime::timer::{self, Timer};
use crate::transport::name_counter::Counter;

/// How long to wait for a process that draws its own name: it takes microseconds.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two attempts to lock the counter.
const PAUSE: Duration = Duration::from_millis(10);

/// Draws the part of a queue's name that tells processes apart.
#[derive(Clone)]
pub(crate) struct QueueNames {
    options: StableNames,
    ids: Arc<IdSource>,
    timer: Arc<Timer>,
}

impl QueueNames {
    pub(super) fn new(options: StableNames, ids: &Arc<IdSource>, timer: &Arc<Timer>) -> Self {
        Self { options, ids: Arc::clone(ids), timer: Arc::clone(timer) }
    }

    /// Draws a name: a random one, or the next of the counter.
    ///
    /// # Errors
    /// `TransportDriverError` if another process keeps the counter locked for 10 s, or the
    /// counter's file cannot be used; `Closed` if the engine stops meanwhile.
    pub(crate) fn draw(&self) -> impl Future<Output = Result<String, Error>> + use<> {
        let this = self.clone();
        async move { this.drawn().await }
    }

    async fn drawn(self) -> Result<String, Error> {
        let Some(counter) = Counter::of(&self.options)? else {
            return Ok(self.ids.unique_id().as_str().to_owned());
        };
        let deadline = timer::now() + LOCK_TIMEOUT;
        loop {
            if let Some(count) = counter.draw()? {
                return Ok(counter.name(count));
            }
            if timer::now() >= deadline {
                let text = format!("{counter} stays locked by another process");
                return Err(Error::new(ErrorKind::TransportDriverError, text));
            }
            if self.timer.sleep(PAUSE).await.is_err() {
                return Err(errors::transport_closed());
            }
        }
    }
}
