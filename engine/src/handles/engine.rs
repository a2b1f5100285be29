//! The engine: starts shards, gives each connection one of them, stops them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{oneshot, watch};

use crate::config::{ConnectMode, ConnectionConfig, Cores, EngineConfig};
use crate::error::{Error, ErrorKind};
use crate::handles::connection::Connection;
use crate::handles::lease::Lease;
use crate::handles::shards::Shards;
use crate::reactor;
use crate::reactor::BackendKind;
use crate::shard::border::block_on::block_on;
use crate::shard::border::shared::ConnectionShared;
use crate::shard::border::tickets::Tickets;
use crate::shard::run::{Command, Shard, ShardHandle};
use crate::shard::stats::ShardStats;
use crate::shard::timer::Timer;

/// A set of shards that run connections. Cloning is cheap; the last clone dropped stops the shards
/// without waiting for them, [`Engine::stop`] and [`Engine::shutdown`] wait.
///
/// ```no_run
/// use leveret_engine::{Engine, EngineConfig, ConnectionConfig};
///
/// # fn main() -> Result<(), leveret_engine::Error> {
/// let engine = Engine::start(EngineConfig::default())?;
/// let connection = engine.connect_blocking(ConnectionConfig::to("localhost", 5672))?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Shards>,
}

impl Engine {
    /// Starts the shards and their threads.
    ///
    /// # Errors
    /// `Backend` when io_uring is insisted on and not available, when a core is outside the allowed
    /// set, or when the system gives no thread.
    pub fn start(config: EngineConfig) -> Result<Self, Error> {
        let refused = |error: &dyn ToString| Error::new(ErrorKind::Backend, error.to_string());
        let backend = reactor::choose(config.backend).map_err(|error| refused(&error))?;
        let cores: Vec<Option<usize>> = match config.cores {
            Cores::Unpinned(count) => vec![None; count.max(1)],
            Cores::Pinned(cores) if cores.is_empty() => {
                return Err(Error::new(ErrorKind::Config, "no core is named to pin shards to"));
            }
            Cores::Pinned(cores) => cores.into_iter().map(Some).collect(),
        };
        let mut shards = Vec::new();
        let mut threads = Vec::new();
        let alive = watch::Sender::new(());
        for (index, core) in cores.into_iter().enumerate() {
            let (shard, handle) = Shard::new(config.busy_poll);
            threads.push(shard.start(index, core, backend, alive.subscribe())?);
            shards.push(handle);
        }
        let threads = Mutex::new(threads);
        let inner = Shards { shards, threads, alive, backend, next: AtomicUsize::new(0) };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// An engine whose one shard is run by the caller.
    pub(crate) fn around(shard: ShardHandle, backend: BackendKind) -> Self {
        let (shards, threads, next) = (vec![shard], Mutex::default(), AtomicUsize::new(0));
        let alive = watch::Sender::new(());
        Self { inner: Arc::new(Shards { shards, threads, alive, backend, next }) }
    }

    /// What its one shard is to hold while it runs.
    pub(crate) fn alive(&self) -> watch::Receiver<()> {
        self.inner.alive.subscribe()
    }

    /// What the shards run on.
    #[must_use]
    pub fn backend(&self) -> BackendKind {
        self.inner.backend
    }

    /// How many shards it has.
    #[must_use]
    pub fn shards(&self) -> usize {
        self.inner.shards.len()
    }

    /// Opens a connection on the next shard. Resolves when a broker has opened it, when every host
    /// has refused it, or when every host has failed and
    /// [`connect_deadline`](ConnectionConfig::connect_deadline) has passed; at once with
    /// [`ConnectMode::Lazy`](crate::ConnectMode::Lazy).
    ///
    /// After the first success no answer of a broker ends the connection: a refusal is a state with
    /// a reason ([`Connection::status`]), and it is tried again, with pauses that grow to
    /// [`Recovery::backoff_max`](crate::Recovery::backoff_max).
    ///
    /// Dropping the future closes the connection when it opens.
    ///
    /// # Errors
    /// `Config`, `Unreachable`, `AccessRefused`, `VhostRefused`, `NotAmqp`, `Protocol`, `Stopped`.
    pub async fn connect(&self, config: ConnectionConfig) -> Result<Connection, Error> {
        self.connect_on(self.inner.next.fetch_add(1, Ordering::Relaxed), config).await
    }

    /// [`Engine::connect`] on this shard. They count from 0, and beyond the last from 0 again.
    ///
    /// ```no_run
    /// # use leveret_engine::{ConnectionConfig, Engine, Error};
    /// # async fn example(engine: &Engine) -> Result<(), Error> {
    /// let config = ConnectionConfig::to("localhost", 5672);
    /// for shard in 0..engine.shards() {
    ///     let connection = engine.connect_on(shard, config.clone()).await?;
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Engine::connect`].
    pub async fn connect_on(
        &self,
        shard: usize,
        config: ConnectionConfig,
    ) -> Result<Connection, Error> {
        config.check()?;
        let shard = &self.inner.shards[shard % self.inner.shards.len()];
        let is_lazy = config.connect == ConnectMode::Lazy;
        let (shared, requests) = ConnectionShared::new(&config, &shard.clock);
        let lease = Lease::new(Arc::clone(&shared), Arc::clone(&self.inner));
        let (first, opened) = oneshot::channel();
        let config = Box::new(config);
        let command = Command::Connect { config, shared: Arc::clone(&shared), requests, first };
        shard.commands.try_send(command).map_err(|_| Error::stopped())?;
        if !is_lazy {
            opened.await.unwrap_or_else(|_| Err(Error::stopped()))?;
        }
        Ok(Connection::new(shared, lease))
    }

    /// [`Engine::connect`], for threads without a runtime.
    ///
    /// # Errors
    /// As [`Engine::connect`].
    pub fn connect_blocking(&self, config: ConnectionConfig) -> Result<Connection, Error> {
        block_on(self.connect(config))
    }

    /// Pending answers of any kind, whose deadlines this engine watches.
    #[must_use]
    pub fn tickets<T: Send + 'static>(&self) -> Arc<Tickets<T>> {
        Tickets::new(&self.inner.shards[0].clock)
    }

    /// A timer whose actions run on this engine, on its first shard, where the deadlines of
    /// [tickets](Self::tickets) are watched as well. It does not keep the engine running.
    #[must_use]
    pub fn timer(&self) -> Timer {
        Timer::new(&self.inner.shards[0].clock)
    }

    /// The counters of each shard. Reading begins [`ShardStats::tick_late_max`] anew, so let one
    /// reader do it.
    #[must_use]
    pub fn stats(&self) -> Vec<ShardStats> {
        let read = |shard: &ShardHandle| {
            let tick_late_max = shard.clock.take_late_max();
            ShardStats { tick_late_max, ..shard.stats.read() }
        };
        self.inner.shards.iter().map(read).collect()
    }

    /// Flushes and closes every connection, for 2 s at most, and ends the shards. Every wait ends
    /// with `Stopped`. A shard that is [attached](crate::Shard::attach) is told to, not waited for.
    ///
    /// Blocks until the threads have ended: for plain threads. Async code has
    /// [`shutdown`](Self::shutdown).
    pub fn stop(&self) {
        self.inner.tell_stop();
        self.join();
    }

    /// [`stop`](Self::stop) for async code: resolves when the shards have ended, and blocks no
    /// thread meanwhile. Waits for an attached shard as well, so its future must be polled.
    ///
    /// Dropping the future leaves the shards to end by themselves.
    ///
    /// ```
    /// # use leveret_engine::{Engine, EngineConfig, Error, block_on};
    /// # fn main() -> Result<(), Error> {
    /// let engine = Engine::start(EngineConfig::default())?;
    /// # let service = async move {
    /// engine.shutdown().await;
    /// # };
    /// # block_on(service);
    /// # Ok(()) }
    /// ```
    pub async fn shutdown(&self) {
        self.inner.tell_stop();
        self.inner.alive.closed().await;
        // What is left of their threads is to leave their last function.
        self.join();
    }

    fn join(&self) {
        let mut threads = self.inner.threads.lock().unwrap_or_else(PoisonError::into_inner);
        for thread in threads.drain(..) {
            // A shard that panicked has ended its waits already.
            let _ = thread.join();
        }
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("backend", &self.inner.backend)
            .field("shards", &self.inner.shards.len())
            .finish_non_exhaustive()
    }
}
