//! Gives the caller's thread to a shard, whose loop runs the caller's tasks.
//!
//! Invariant: the shard outlives the caller's program, so handles work until it ends; then the
//! shard closes its connections.

use std::future::Future;

use crate::config::{Cores, EngineConfig};
use crate::error::{Error, ErrorKind};
use crate::handles::engine::Engine;
use crate::reactor::{self, Program, Reactor};
use crate::shard::placement::PinnedThread;
use crate::shard::run::Shard;

impl Shard {
    /// Runs a shard on this thread, and in its loop the future that `program` makes of the engine.
    /// Returns the output of the future. For services that have a thread for each core: what the
    /// program sends and receives changes no thread, and one system call both sends and waits.
    ///
    /// The program runs as a task of a tokio [`LocalSet`](tokio::task::LocalSet):
    /// [`spawn_local`](tokio::task::spawn_local), and tokio's timers and sockets, work in it. The
    /// handles may go to other threads. Under AMQP traffic tokio's timers and sockets have their
    /// turn every 2 ms. A program that computes for long, or blocks (`…_blocking`,
    /// [`block_on`](crate::block_on)), delays the connections; a blocking call that waits for this
    /// shard waits until its deadline or for ever.
    ///
    /// After the program has ended the shard sends what is in its outboxes and closes its
    /// connections, for 2 s at most; tasks that the program has spawned are dropped. If
    /// [`EngineConfig::cores`] names a core, the thread is pinned to it until then. One process may
    /// run any number of shards, each on a thread of its own; each has an engine of its own.
    ///
    /// ```
    /// use leveret_engine::{Cores, EngineConfig, Shard};
    ///
    /// # fn main() -> Result<(), leveret_engine::Error> {
    /// # let core = 0;
    /// # let cores = Cores::Unpinned(1);
    /// let config = EngineConfig::default().with_cores(cores); // or Cores::Pinned(vec![core])
    /// let shards = Shard::run(config, |engine| async move {
    ///     // engine.connect(…).await, and whatever else the service does.
    ///     engine.shards()
    /// })?;
    /// assert_eq!(shards, 1);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `Config` if [`EngineConfig::cores`] is more than one shard; `Backend` if io_uring was
    /// requested and is not available, or if the process may not use the core. The program has not
    /// begun then.
    ///
    /// # Panics
    /// If the program panics, after the waits of all handles have ended with `Stopped`. If this
    /// thread already runs a tokio runtime: see [`attach`](Self::attach).
    pub fn run<F: Future>(
        config: EngineConfig,
        program: impl FnOnce(Engine) -> F,
    ) -> Result<F::Output, Error> {
        let refused = |error: &dyn ToString| Error::new(ErrorKind::Backend, error.to_string());
        let core = match config.cores {
            Cores::Unpinned(0 | 1) => None,
            Cores::Pinned(cores) if cores.len() == 1 => cores.first().copied(),
            _ => {
                let text = "a thread runs one shard: name one core, and run a shard for each core";
                return Err(Error::new(ErrorKind::Config, text));
            }
        };
        let _pinned = core.map(PinnedThread::to).transpose().map_err(|error| refused(&error))?;
        let backend = reactor::choose(config.backend).map_err(|error| refused(&error))?;
        let (shard, handle) = Self::new(config.busy_poll);
        let engine = Engine::with_shard(handle, backend);
        let hosted = HostedProgram { shard, engine, program };
        reactor::block_on(backend, || {}, hosted).map_err(|error| refused(&error))
    }
}

/// A shard, and the program in its loop.
struct HostedProgram<P> {
    shard: Shard,
    engine: Engine,
    program: P,
}

impl<F: Future, P: FnOnce(Engine) -> F> Program for HostedProgram<P> {
    type Output = F::Output;

    async fn run(self, reactor: impl Reactor) -> F::Output {
        let Self { shard, engine, program } = self;
        let alive = engine.alive();
        let running = reactor::spawn(async move {
            shard.serve(reactor).await;
            drop(alive);
        });
        let output = program(engine.clone()).await;
        engine.stop();
        // A shard that panicked has ended its waits.
        let _ = running.await;
        output
    }
}
