//! Runs a shard on a runtime of the caller, beside the caller's tasks.
//!
//! Invariant: the shard sleeps only when the runtime does and yields to other tasks, so neither
//! delays the other for long. Threads and cores are the caller's.

use std::future::Future;
use std::time::Duration;

use crate::config::{Cores, EngineConfig};
use crate::error::{Error, ErrorKind};
use crate::handles::engine::Engine;
use crate::reactor;
use crate::shard::run::Shard;

impl Shard {
    /// Creates an engine of one shard, and the future that runs the shard on the thread that polls
    /// it. For services that have a tokio-uring runtime or a single-threaded tokio runtime (with
    /// timers and I/O enabled): spawn the future there as a local task. On io_uring the shard has
    /// its own ring beside the runtime's.
    ///
    /// The engine makes progress only while the future is polled, so a blocking call on that thread
    /// (`…_blocking`, [`block_on`](crate::block_on)) waits until its deadline or for ever. The
    /// future resolves within 2 s after [`Engine::stop`] or [`Engine::shutdown`], or after the last
    /// handle was dropped.
    ///
    /// # Cancel safety
    /// Dropping the future cuts the connections and ends every wait with `Stopped`.
    ///
    /// ```
    /// use leveret_engine::{EngineConfig, Shard};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let mut runtime = tokio::runtime::Builder::new_current_thread();
    /// # let runtime = runtime.enable_all().build()?;
    /// let (engine, shard) = Shard::attach(EngineConfig::default())?;
    /// let service = async move {
    ///     // engine.connect(…).await, and whatever else the service does.
    ///     engine.stop();
    /// };
    /// let ((), ended) = runtime.block_on(async { tokio::join!(service, shard) });
    /// # Ok(ended?) }
    /// ```
    ///
    /// # Errors
    /// `Backend` if io_uring was requested and is not available; the future also fails with it if
    /// it cannot create a ring on its thread. `Config` for thread settings: [`EngineConfig::cores`]
    /// other than one unpinned shard, and [`EngineConfig::busy_poll`], which would starve the
    /// caller's tasks.
    ///
    /// # Panics
    /// The future panics if it is polled outside a tokio runtime or if I/O is not enabled there.
    pub fn attach(
        config: EngineConfig,
    ) -> Result<(Engine, impl Future<Output = Result<(), Error>> + 'static), Error> {
        if config.cores != Cores::Unpinned(1) || !config.busy_poll.is_zero() {
            let text = "an attached shard has the caller's thread: no cores, no busy_poll";
            return Err(Error::new(ErrorKind::Config, text));
        }
        let refused = |error: &dyn ToString| Error::new(ErrorKind::Backend, error.to_string());
        let backend = reactor::choose(config.backend).map_err(|error| refused(&error))?;
        let (shard, handle) = Self::new(Duration::ZERO);
        let engine = Engine::with_shard(handle, backend);
        let alive = engine.alive();
        let run = async move {
            let ended = reactor::run_attached(backend, shard).await;
            drop(alive);
            ended.map_err(|error| refused(&error))
        };
        Ok((engine, run))
    }
}
