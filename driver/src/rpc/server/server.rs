//! The server as its user sees it: it runs, is stopped, is waited for.
//!
//! It consumes from the queues of its target on a channel of its own. Not here: how it starts
//! (`builder`), what happens to a request (`processor`).

use std::sync::Arc;
use std::time::Duration;

use leveret_engine::{DeliverySink, block_on};

use crate::broker::subscriber::Subscriber;
use crate::dialect::queues::{ServerQueue, ServerQueues};
use crate::error::Error;
use crate::observe::health::ListeningHealth;
use crate::rpc::server::drain;
use crate::rpc::server::processor::RequestProcessor;
use crate::rpc::server::sink::RequestSink;
use crate::rpc::server::stats::ServerStats;
use crate::runtime::shutdown::Shutdown;
use crate::runtime::timer::Timer;

/// A running server. Stop it before dropping it: dropping it aborts the requests that run.
///
/// ```
/// # use leveret::{Context, Endpoint, Error, Failure, RpcServer, Target, Transport};
/// # use std::time::Duration;
/// # fn main() -> Result<(), Error> {
/// # let transport = Transport::connect_blocking("fake:///life-of-a-server")?;
/// let target = Target::new("compute").with_server("host1");
/// let endpoint = Endpoint::new().method("ping", |_: Context, (): ()| Ok::<_, Failure>("pong"));
/// let server = RpcServer::builder(&transport, target).endpoint(endpoint).start_blocking()?;
/// // On SIGTERM: nothing new, what was not begun back to the queue, the rest to its end.
/// server.stop_blocking()?;
/// if let Err(error) = server.wait_within_blocking(Duration::from_secs(20)) {
///     eprintln!("an endpoint still runs: {error}");
/// }
/// # Ok(()) }
/// ```
///
/// The life cycle is oslo's: [`stop`](Self::stop) ends the intake, [`wait`](Self::wait) waits for
/// the requests taken. Each happens once; further callers wait for the one under way. To serve
/// again, build and start another server.
#[must_use = "what a dropped server was doing is cut off: stop it, and wait for it"]
pub struct RpcServer {
    pub(super) subscriber: Subscriber,
    pub(super) processor: Arc<RequestProcessor>,
    pub(super) queues: ServerQueues,
    pub(super) timer: Arc<Timer>,
    pub(super) shutdown: Shutdown,
}

impl RpcServer {
    /// Takes no further requests, and returns requests that are not acknowledged to their queue,
    /// for another server of the topic. Requests that were acknowledged are executed; this does not
    /// wait for them. So are those from queues that may be deleted with this server: those of the
    /// `pika` dialect; fanouts that were confirmed before, and under
    /// [`QueueProfile::LocalRandom`](crate::QueueProfile::LocalRandom) what clients on its node
    /// sent. Those that the prefetch holds back at the broker have 10 s to be delivered; what is
    /// left then is lost.
    ///
    /// # Errors
    /// `MessagingTimeout` or `TransportDriverError` when the broker does not answer or refuses; the
    /// intake has ended all the same. The first caller gets the error, later ones get `Ok`.
    pub async fn stop(&self) -> Result<(), Error> {
        self.shutdown.stop(self.end_intake()).await
    }

    /// Waits until every request taken is answered, then ends the connection. Stops first, if it
    /// has not been stopped. An endpoint must not call it: it would wait for itself.
    ///
    /// # Errors
    /// As [`stop`](Self::stop).
    pub async fn wait(&self) -> Result<(), Error> {
        self.shutdown.wait(self.end_intake(), self.finish(), self.subscriber.close()).await
    }

    /// [`stop`](Self::stop), for as long as `timeout` at most.
    ///
    /// # Errors
    /// `TaskTimeout` when it takes longer; the next caller of `stop` or `wait` continues it. Else
    /// as [`stop`](Self::stop).
    pub async fn stop_within(&self, timeout: Duration) -> Result<(), Error> {
        self.shutdown.with_timeout(timeout, self.stop()).await
    }

    /// [`wait`](Self::wait), for as long as `timeout` at most.
    ///
    /// # Errors
    /// `TaskTimeout` when endpoints run longer; they continue, and the next caller of `wait`
    /// continues to wait. Else as [`stop`](Self::stop).
    pub async fn wait_within(&self, timeout: Duration) -> Result<(), Error> {
        self.shutdown.with_timeout(timeout, self.wait()).await
    }

    /// Does nothing, as in oslo: a server keeps no state that a changed configuration could renew.
    pub const fn reset(&self) {}

    /// [`stop`](Self::stop) for a plain thread.
    ///
    /// # Errors
    /// As [`stop`](Self::stop).
    pub fn stop_blocking(&self) -> Result<(), Error> {
        block_on(self.stop())
    }

    /// [`wait`](Self::wait) for a plain thread.
    ///
    /// # Errors
    /// As [`stop`](Self::stop).
    pub fn wait_blocking(&self) -> Result<(), Error> {
        block_on(self.wait())
    }

    /// [`stop_within`](Self::stop_within) for a plain thread.
    ///
    /// # Errors
    /// As [`stop_within`](Self::stop_within).
    pub fn stop_within_blocking(&self, timeout: Duration) -> Result<(), Error> {
        block_on(self.stop_within(timeout))
    }

    /// [`wait_within`](Self::wait_within) for a plain thread.
    ///
    /// # Errors
    /// As [`wait_within`](Self::wait_within).
    pub fn wait_within_blocking(&self, timeout: Duration) -> Result<(), Error> {
        block_on(self.wait_within(timeout))
    }

    async fn end_intake(&self) -> Result<(), Error> {
        self.processor.limit.lift();
        let mut drained = Ok(());
        for queue in self.queues.queues.iter().filter(|queue| queue.is_drained) {
            let drain = drain::drain(&self.subscriber, &self.timer, &queue.subscription);
            drained = drained.and(Box::pin(drain).await);
        }
        let cancelled = self.subscriber.cancel().await;
        // Boxed: callers hold this future several times over.
        let removed = Box::pin(self.remove_unused()).await;
        // Only now: what is returned to a queue that we still consume from comes straight back.
        self.processor.return_waiting();
        drained.and(cancelled).and(removed)
    }

    async fn remove_unused(&self) -> Result<(), Error> {
        let queues = self.queues.queues.iter().filter(|queue| queue.is_removed_when_unused);
        let sink = |queue: &ServerQueue| -> Box<dyn DeliverySink> {
            Box::new(RequestSink::new(&self.processor, queue.source))
        };
        drain::remove_unused(&self.subscriber, &self.timer, queues, sink).await
    }

    async fn finish(&self) -> Result<(), Error> {
        self.processor.finish().await;
        // As oslo: other queues stay for the next server, but no server will use this one again.
        match &self.queues.fanout_queue {
            Some(queue) => self.subscriber.delete_queue(queue).await,
            None => Ok(()),
        }
    }

    /// Whether it still serves. Cheap: nothing is sent.
    pub fn health(&self) -> ListeningHealth {
        let is_stopped = self.shutdown.has_stopped();
        let (connection, consumers) = (self.subscriber.health(), self.subscriber.consumers());
        ListeningHealth { connection, consumers, is_stopped }
    }

    /// What it has done so far.
    pub fn stats(&self) -> ServerStats {
        ServerStats { reconnects: self.subscriber.reconnects(), ..self.processor.stats() }
    }
}

impl std::fmt::Debug for RpcServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RpcServer").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
