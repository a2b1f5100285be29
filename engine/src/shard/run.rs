//! The shard: receives the commands of its engine, runs connections, and closes them when it stops.

use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use super::border::shared::{ConnectionShared, Request};
use super::clock::Clock;
use super::connection::state::Conn;
use super::connection::tasks;
use super::recovery::reconnect;
use super::stats::Stats;
use super::{operations, placement};
use crate::config::ConnectionConfig;
use crate::error::{Error, ErrorKind};
use crate::reactor::{self, BackendKind, Program, Reactor};

/// How long a stopping shard waits for its connections to close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Commands that may wait for a shard. More of them mean that the shard hangs.
const COMMANDS_MAX: usize = 256;

/// A command of the engine to a shard.
pub(crate) enum Command {
    Connect {
        config: Box<ConnectionConfig>,
        shared: Arc<ConnectionShared>,
        requests: mpsc::Receiver<Request>,
        first: oneshot::Sender<Result<(), Error>>,
    },
    Stop,
}

/// The engine's side of a shard.
pub(crate) struct ShardHandle {
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) clock: Arc<Clock>,
    pub(crate) stats: Arc<Stats>,
}

/// One thread's part of an engine: a runtime and its connections. An engine starts a thread for
/// each of its shards; [`Shard::run`] gives a thread of the caller to a shard, and
/// [`Shard::attach`] runs one on a runtime of the caller.
pub struct Shard {
    commands: mpsc::Receiver<Command>,
    clock: Arc<Clock>,
    stats: Arc<Stats>,
    busy_poll: Duration,
}

impl Shard {
    pub(crate) fn new(busy_poll: Duration) -> (Self, ShardHandle) {
        let (sender, commands) = mpsc::channel(COMMANDS_MAX);
        let clock = Arc::new(Clock::new(reactor::now_off_shard()));
        let panics = Arc::clone(clock.panics());
        let stats = Arc::new(Stats { panics, ..Stats::default() });
        let handle =
            ShardHandle { commands: sender, clock: Arc::clone(&clock), stats: Arc::clone(&stats) };
        (Self { commands, clock, stats, busy_poll }, handle)
    }

    /// Starts the thread of this shard. Returns once its runtime is built. The thread drops `alive`
    /// when it ends.
    pub(crate) fn start(
        self,
        index: usize,
        core: Option<usize>,
        kind: BackendKind,
        alive: watch::Receiver<()>,
    ) -> Result<std::thread::JoinHandle<()>, Error> {
        let backend = |error: std::io::Error| Error::new(ErrorKind::Backend, error.to_string());
        let (ready, built) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new()
            .name(format!("leveret-shard-{index}"))
            .spawn(move || {
                reactor::block_signals();
                // Declared first, so it is dropped last, after the runtime.
                let _alive = alive;
                if let Some(Err(error)) = core.map(placement::pin) {
                    let _ = ready.send(Err(error));
                    return;
                }
                if let Err(error) = reactor::block_on(kind, || drop(ready.send(Ok(()))), self) {
                    tracing::error!(
                        name: "leveret.engine.shard.failed", %error, "a shard cannot run"
                    );
                    // Nobody receives it if the shard was ready before.
                    let _ = ready.send(Err(error));
                }
            })
            .map_err(backend)?;
        built.recv().unwrap_or_else(|_| Err(std::io::Error::other("it died"))).map_err(backend)?;
        Ok(thread)
    }

    /// Runs connections until the engine tells the shard to stop.
    pub(crate) async fn serve<R: Reactor>(mut self, reactor: R) {
        // However this future ends, by a panic too, the drop of `abort` ends every wait.
        let abort = Abort(Arc::clone(&self.clock));
        let clock = Arc::clone(&self.clock);
        reactor::spawn(async move { clock.run().await });
        if !self.busy_poll.is_zero() {
            reactor::spawn(busy_poll(reactor.clone(), Arc::clone(&self.stats), self.busy_poll));
        }
        let mut conns: Vec<Weak<Conn>> = Vec::new();
        while let Some(Command::Connect { config, shared, requests, first }) =
            self.commands.recv().await
        {
            let conn = Conn::new(*config, shared, Arc::clone(&self.stats));
            conns.retain(|known| known.strong_count() > 0);
            conns.push(Rc::downgrade(&conn));
            let serving = tasks::spawn(&conn, operations::serve(Rc::clone(&conn), requests));
            let supervised = reconnect::supervise(Rc::clone(&conn), reactor.clone(), first);
            reactor::spawn(async move {
                reconnect::run_to_end(conn, supervised).await;
                serving.abort();
            });
        }
        let closing = |conn: Rc<Conn>| {
            let closed = Rc::clone(&conn);
            tasks::spawn(
                &conn,
                async move { drop(operations::close(&closed, CLOSE_TIMEOUT).await) },
            )
        };
        let closing: Vec<_> = conns.iter().filter_map(Weak::upgrade).map(closing).collect();
        for closing in closing {
            let _ = closing.await;
        }
        drop(abort);
    }
}

impl Program for Shard {
    type Output = ();

    async fn run(self, reactor: impl Reactor) {
        self.serve(reactor).await;
    }
}

struct Abort(Arc<Clock>);

impl Drop for Abort {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Keeps the thread awake for `span` after every socket operation.
async fn busy_poll(reactor: impl Reactor, stats: Arc<Stats>, span: Duration) {
    let operations = || {
        let now = stats.read();
        now.reads + now.writes
    };
    loop {
        stats.activity.notified().await;
        let mut seen = operations();
        let mut until = reactor::now() + span;
        while reactor::now() < until {
            if let Err(error) = reactor.poll_io().await {
                tracing::warn!(
                    name: "leveret.engine.busy_poll.failed", %error, "busy polling is not available"
                );
                return;
            }
            let count = operations();
            if count != seen {
                seen = count;
                until = reactor::now() + span;
            }
        }
    }
}
