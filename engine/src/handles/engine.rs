//! The engine: starts shards, assigns each connection to one of them, and stops them.

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

/// A set of shards that run connections. Cloning is cheap. Dropping the last clone stops the shards
/// without waiting for them; [`Engine::stop`] and [`Engine::shutdown`] wait.
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
    /// `Backend` if io_uring was requested and is not available, if a core is outside the allowed
    /// set, or if the system refuses a thread; `Config` if the list of cores is empty.
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

    /// Creates an engine whose only shard is run by the caller.
    pub(crate) fn with_shard(shard: ShardHandle, backend: BackendKind) -> Self {
        let (shards, threads, next) = (vec![shard], Mutex::default(), AtomicUsize::new(0));
        let alive = watch::Sender::new(());
        Self { inner: Arc::new(Shards { shards, threads, alive, backend, next }) }
    }

    /// Returns the receiver that a shard on the caller's thread holds while it runs.
    pub(crate) fn alive(&self) -> watch::Receiver<()> {
        self.inner.alive.subscribe()
    }

    /// Returns the backend of the shards.
    #[must_use]
    pub fn backend(&self) -> BackendKind {
        self.inner.backend
    }

    /// Returns the number of shards.
    #[must_use]
    pub fn shards(&self) -> usize {
        self.inner.shards.len()
    }

    /// Opens a connection on the next shard. Resolves when a broker has opened it, when every host
    /// has refused it, or when every host has failed and
    /// [`connect_deadline`](ConnectionConfig::connect_deadline) has passed; at once with
    /// [`ConnectMode::Lazy`](crate::ConnectMode::Lazy).
    ///
    /// After the first success no answer of a broker ends the connection. A refusal is a state with
    /// a reason ([`Connection::status`]), and the engine retries with pauses that grow to
    /// [`Recovery::backoff_max`](crate::Recovery::backoff_max).
    ///
    /// # Cancel safety
    /// If the future is dropped, the engine closes the connection once it is open.
    ///
    /// # Errors
    /// `Config`, `Unreachable`, `AccessRefused`, `VhostRefused`, `NotAmqp`, `Protocol`, `Stopped`.
    pub async fn connect(&self, config: ConnectionConfig) -> Result<Connection, Error> {
        self.connect_on(self.inner.next.fetch_add(1, Ordering::Relaxed), config).await
    }

    /// Opens a connection on shard `shard`, otherwise as [`Engine::connect`]. Shards count from 0;
    /// a larger number is taken modulo their count.
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

    /// Opens a connection, like [`Engine::connect`], and blocks the thread.
    ///
    /// # Errors
    /// As [`Engine::connect`].
    pub fn connect_blocking(&self, config: ConnectionConfig) -> Result<Connection, Error> {
        block_on(self.connect(config))
    }

    /// Creates a table of pending answers of any type; this engine watches their deadlines.
    #[must_use]
    pub fn tickets<T: Send + 'static>(&self) -> Arc<Tickets<T>> {
        Tickets::new(&self.inner.shards[0].clock)
    }

    /// Creates a timer whose actions run on the first shard of this engine, which also watches the
    /// deadlines of [tickets](Self::tickets). The timer does not keep the engine running.
    #[must_use]
    pub fn timer(&self) -> Timer {
        Timer::new(&self.inner.shards[0].clock)
    }

    /// Returns the counters of each shard. Each call resets [`ShardStats::tick_late_max`], so only
    /// one reader should call it.
    #[must_use]
    pub fn stats(&self) -> Vec<ShardStats> {
        let read = |shard: &ShardHandle| {
            let tick_late_max = shard.clock.take_late_max();
            ShardStats { tick_late_max, ..shard.stats.read() }
        };
        self.inner.shards.iter().map(read).collect()
    }

    /// Closes every connection after sending what is in its outboxes, for 2 s at most, and ends the
    /// shards. Every wait ends with `Stopped`. A shard on the caller's
    /// thread ([`Shard::run`](crate::Shard::run), [`Shard::attach`](crate::Shard::attach)) is told
    /// to stop and not waited for.
    ///
    /// Blocks until the threads have ended, so async code should call [`shutdown`](Self::shutdown).
    pub fn stop(&self) {
        self.inner.request_stop();
        self.join();
    }

    /// Stops the engine like [`stop`](Self::stop), for async code: resolves when the shards have
    /// ended and blocks no thread. It also waits for a shard on the caller's thread; the future of
    /// an attached one must be polled.
    ///
    /// # Cancel safety
    /// If the future is dropped, the shards still end.
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
        self.inner.request_stop();
        self.inner.alive.closed().await;
        // The threads have left the shard and are about to exit.
        self.join();
    }

    fn join(&self) {
        let mut threads = self.inner.threads.lock().unwrap_or_else(PoisonError::into_inner);
        for thread in threads.drain(..) {
            // A shard that panicked has already ended its waits.
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
