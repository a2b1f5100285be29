//! Names of reply and fanout queues: random, or the same after each restart (oslo's queue manager).
//!
//! Here a transport decides which, and waits its turn for the counter. Not here: the counter itself
//! (`counter`), what else a name consists of (`dialect`).

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::broker::errors;
use crate::config::StableNames;
use crate::error::{Error, ErrorKind};
use crate::ids::IdSource;
use crate::runtime::timer;
use crate::runtime::timer::Timer;
use crate::transport::transport::Transport;

use crate::transport::name_counter::Counter;

/// How long to wait for a process that draws its own name: it takes microseconds.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(10);

impl Transport {
    /// The part of a queue's name that tells processes apart.
    pub(crate) fn queue_id(&self) -> impl Future<Output = Result<String, Error>> + use<> {
        let names = self.config().stable_names.clone();
        draw(names, Arc::clone(&self.shared.ids), Arc::clone(self.timer()))
    }

    /// The same for a fanout queue; empty where all servers share a stream.
    pub(crate) async fn fanout_id(&self) -> Result<String, Error> {
        match self.config().entities.stream_fanout {
            true => Ok(String::new()),
            false => self.queue_id().await,
        }
    }
}

/// Draws a name: of its own, or the next of the counter.
async fn draw(names: StableNames, ids: Arc<IdSource>, timer: Arc<Timer>) -> Result<String, Error> {
    let Some(counter) = Counter::of(&names)? else {
        return Ok(ids.unique_id().as_str().to_owned());
    };
    let deadline = timer::now() + PATIENCE;
    loop {
        if let Some(count) = counter.draw()? {
            return Ok(counter.name(count));
        }
        if timer::now() >= deadline {
            let text = format!("{counter} stays locked by another process");
            return Err(Error::new(ErrorKind::TransportDriverError, text));
        }
        if timer.pause(PAUSE).await.is_err() {
            return Err(errors::stopped());
        }
    }
}
