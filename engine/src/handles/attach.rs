//! A shard on a runtime the caller has already, beside the caller's own tasks.
//!
//! Invariant: the shard sleeps only as the runtime does, and lets other tasks have their turn, so
//! neither holds up the other for long. Not here: threads and cores; both are the caller's.

use std::future::Future;
use std::time::Duration;

use crate::config::{Cores, EngineConfig};
use crate::error::{Error, ErrorKind};
use crate::handles::engine::Engine;
use crate::reactor;
use crate::shard::run::Shard;

impl Shard {
    /// An engine of one shard, and the future that runs it on the thread where it is polled: for
    /// services with a tokio-uring runtime or a tokio one of a single thread (timers and I/O
    /// enabled). Spawn it there as a local task. On io_uring the shard has a ring of its own beside
    /// the runtime's.
    ///
    /// Nothing of the engine goes on unless the future is polled, so calls that block its thread
    /// (`…_blocking`, [`block_on`](crate::block_on)) wait for ever or until their deadline. It ends
    /// after [`Engine::stop`] or [`Engine::shutdown`], or when the last handle is dropped, within
    /// 2 s. Dropping it cuts the connections and ends every wait with `Stopped`.
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
    /// `Backend` when io_uring is insisted on and not available, from the future also when no ring
    /// can be had on its thread; `Config` for settings of threads: [`EngineConfig::cores`] other
    /// than one, unpinned, and [`EngineConfig::busy_poll`], which would starve the caller's tasks.
    ///
    /// # Panics
    /// The future, when it is polled outside a tokio runtime or its I/O is not enabled.
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
        let engine = Engine::around(handle, backend);
        let alive = engine.alive();
        let run = async move {
            let ended = reactor::run_as_guest(backend, shard).await;
            drop(alive);
            ended.map_err(|error| refused(&error))
        };
        Ok((engine, run))
    }
}
