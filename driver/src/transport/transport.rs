//! A transport: joins engine, formats and options, and owns what clients and servers share.
//!
//! Requests, notifications, replies to our calls, replies of ours, and each server and listener
//! have channels of their own, on connections of their own unless options say otherwise. The first
//! connection to publish on is opened at once, so that mistakes show early, the others by their
//! first use. Clones share all of them. Not here: how it is made (`builder`), what is sent over it
//! (`rpc`, `notify`), which connections are shared (`broker`).

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use leveret_engine::{ConnectMode, Engine, Error as EngineError, block_on};

use crate::broker::connections::Connections;
use crate::broker::open::open_until;
use crate::broker::open_once::OpenOnce;
use crate::broker::publish::connection::PublishConnection;
use crate::broker::publish::pool::PublisherPool;
use crate::broker::purpose::Purpose;
use crate::config::driver_config::DriverConfig;
use crate::dialect::wire::{Heartbeats, Wire};
use crate::error::Error;
use crate::message::ids::IdSource;
use crate::observe::collector::MetricsCollectorClient;
use crate::observe::counters::Counters;
use crate::observe::health::{ConnectionHealth, TransportHealth};
use crate::observe::metrics::TransportMetrics;
use crate::runtime::timer::{self, Timer};
use crate::transport::connection_lists::{add_health, add_metrics};
use crate::transport::pending_calls::{HeartbeatWait, PendingCalls};
use crate::transport::publishers::Publishers;
use crate::transport::queue_names::QueueNames;
use crate::transport::reply_queue::ReplyQueue;
use crate::transport::reply_sender::{ReplyRetryPolicy, ReplySender};
use crate::transport::reply_watchdog::ReplyWatchdog;

/// The connections to the brokers of a URL, and what their users share. Cheap to clone; clones
/// share connections.
///
/// ```no_run
/// # async fn example() -> Result<(), leveret::Error> {
/// use leveret::{DriverConfig, Transport};
///
/// let transport = Transport::connect("rabbit://me:secret@h1,me:secret@h2/nova").await?;
/// let tuned = Transport::builder("rabbit://localhost/")
///     .config(DriverConfig::default().with_control_exchange("nova"))
///     .connect()
///     .await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Transport {
    /// What this handle's messages leave on. First, as `shared` may own the broker.
    pub(super) publishers: Publishers,
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) engine: Engine,
    pub(super) owns_engine: bool,
    pub(super) connections: Arc<Connections>,
    /// The index of the next client's or notifier's connections.
    pub(super) next_publisher: AtomicUsize,
    pub(super) config: DriverConfig,
    pub(super) wire: Arc<Wire>,
    pub(super) ids: Arc<IdSource>,
    pub(super) timer: Arc<Timer>,
    pub(super) pending: Arc<PendingCalls>,
    pub(super) reply_queue: Arc<ReplyQueue>,
    pub(super) reply_watchdog: Arc<ReplyWatchdog>,
    pub(super) queue_names: QueueNames,
    pub(super) counters: Counters,
    /// Where calls and casts are reported, if the options say so.
    pub(super) collector: Option<MetricsCollectorClient>,
    pub(super) reply_sender: OpenOnce<Arc<ReplySender>>,
    pub(super) allowed_remote_exmods: Vec<String>,
    pub(super) _broker: OwnBroker,
}

/// A broker of this process, kept while a transport needs it; last of all, so that it outlives
/// connections.
#[cfg(feature = "loopback")]
pub(super) type OwnBroker = Option<Arc<leveret_engine::loopback::Loopback>>;
#[cfg(not(feature = "loopback"))]
pub(super) type OwnBroker = ();

/// Modules of Python's own exceptions, version 3 and 2; always allowed, as by oslo.
const BUILTIN_EXMODS: [&str; 2] = ["builtins", "exceptions"];

/// What a transport counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct TransportStats {
    /// Calls in progress.
    pub calls_outstanding: usize,
    /// Replies that came after their call had ended.
    pub replies_late: u64,
    /// Replies of this transport's servers that were given up.
    pub replies_dropped: u64,
    /// Buffered casts that the broker returned or refused.
    pub casts_refused: u64,
    /// Buffered casts that may have been lost with a connection, because they are not to be sent
    /// again ([`Retry::Never`](crate::Retry::Never), [`Retry::Times`](crate::Retry::Times)).
    pub casts_lost: u64,
    /// Times the connections that requests leave on were lost, all of them together.
    pub reconnects: u64,
}

impl Transport {
    /// Sends what is waiting and ends all connections. Clients and servers of this transport fail
    /// afterwards.
    ///
    /// # Errors
    /// `MessagingTimeout` when a broker does not answer, `TransportDriverError` when a connection
    /// was lost before everything sent was confirmed; the connections are closed all the same.
    pub async fn close(&self) -> Result<(), Error> {
        let shared = &self.shared;
        let published = self.publishers.pools.close().await;
        shared.reply_sender.close();
        let answered = match shared.reply_sender.get() {
            Some(sender) => sender.close().await,
            None => Ok(()),
        };
        shared.reply_queue.stop();
        let replied = shared.reply_queue.close().await;
        let ended = shared.connections.close().await;
        if shared.owns_engine {
            shared.engine.shutdown().await;
        }
        published.and(answered).and(replied).and(ended)
    }

    /// [`close`](Self::close) for a plain thread.
    ///
    /// # Errors
    /// As [`close`](Self::close).
    pub fn close_blocking(&self) -> Result<(), Error> {
        block_on(self.close())
    }

    /// The options in force, those of the URL included.
    pub fn config(&self) -> &DriverConfig {
        &self.shared.config
    }

    /// The engine that runs the connections.
    pub fn engine(&self) -> &Engine {
        &self.shared.engine
    }

    /// What it counts.
    pub fn stats(&self) -> TransportStats {
        let (shared, pools) = (&self.shared, &self.publishers.pools);
        TransportStats {
            calls_outstanding: shared.pending.outstanding(),
            replies_late: shared.pending.late(),
            replies_dropped: shared.reply_sender.get().map_or(0, |sender| sender.dropped()),
            casts_refused: pools.of_requests().map(|one| one.fire_and_forget_failures()).sum(),
            casts_lost: pools.of_requests().map(|one| one.fire_and_forget_losses()).sum(),
            reconnects: pools.of_requests().map(|one| one.reconnects()).sum(),
        }
    }

    /// The state of its connections: cheap, and nothing is sent. For a liveness or readiness probe,
    /// ask [`is_ready`](TransportHealth::is_ready). What is being opened counts as not there yet.
    pub fn health(&self) -> TransportHealth {
        let shared = &self.shared;
        let mut connections = Vec::new();
        let published = self.publishers.pools.all().flat_map(PublisherPool::health);
        let replying = self.reply_connections().into_iter().map(|connection| connection.health());
        published.chain(replying).for_each(|one| add_health(&mut connections, one));
        let subscriber = shared.reply_queue.subscriber();
        if let Some(subscriber) = &subscriber {
            add_health(&mut connections, subscriber.health());
        }
        for lease in shared.connections.shared() {
            add_health(&mut connections, lease.health());
        }
        TransportHealth {
            connections,
            reply_path: shared.reply_queue.state(),
            replies: subscriber.and_then(|subscriber| subscriber.consumers().pop()),
        }
    }

    /// What it has done and holds, and the shards of its engine. Cheap enough for every second.
    pub fn metrics(&self) -> TransportMetrics {
        let shared = &self.shared;
        let stats = self.stats();
        let mut connections = Vec::new();
        let published = self.publishers.pools.all().flat_map(PublisherPool::opened);
        for connection in published.chain(self.reply_connections()) {
            add_metrics(&mut connections, connection.metrics());
        }
        if let Some(subscriber) = shared.reply_queue.subscriber() {
            add_metrics(&mut connections, subscriber.metrics());
        }
        for lease in shared.connections.shared() {
            add_metrics(&mut connections, lease.metrics([]));
        }
        TransportMetrics {
            calls: shared.counters.read_calls(stats.calls_outstanding),
            casts: shared.counters.read_casts(stats.casts_refused),
            notifications: shared.counters.read_notifications(),
            served: shared.counters.served.read(),
            heard: shared.counters.heard.read(),
            retries: shared.counters.read_retries(),
            fallbacks: shared.counters.read_fallbacks(),
            replies_resent: shared.reply_sender.get().map_or(0, |sender| sender.resent()),
            replies_late: stats.replies_late,
            replies_dropped: stats.replies_dropped,
            reports_dropped: self.collector().map_or(0, MetricsCollectorClient::dropped),
            connections,
            shards: shared.engine.stats(),
        }
    }

    fn reply_connections(&self) -> Vec<Arc<PublishConnection>> {
        let sender = self.shared.reply_sender.get();
        sender.map_or_else(Vec::new, |sender| sender.connections().to_vec())
    }

    /// Why calls cannot be made now, if a connection they need is down and the reason is known.
    pub(crate) fn why_down(&self) -> Option<EngineError> {
        let replies = self.shared.reply_queue.subscriber().map(|subscriber| subscriber.health());
        self.publishers.health().into_iter().chain(replies).find_map(|one| one.why_down())
    }

    /// The formats of what is sent and received.
    pub(crate) fn wire(&self) -> &Arc<Wire> {
        &self.shared.wire
    }

    /// The wait for heartbeats of a caller that asks for one in each `interval`; `None` where
    /// servers send none.
    pub(crate) fn heartbeat_wait(&self, interval: Option<Duration>) -> Option<HeartbeatWait> {
        let heartbeats = self.shared.wire.heartbeats();
        let interval = interval.filter(|_| heartbeats != Heartbeats::Never)?;
        Some(HeartbeatWait { interval, is_expected: heartbeats == Heartbeats::Always })
    }

    pub(crate) fn ids(&self) -> &IdSource {
        &self.shared.ids
    }

    pub(crate) fn timer(&self) -> &Arc<Timer> {
        &self.shared.timer
    }

    pub(crate) fn pending_calls(&self) -> &Arc<PendingCalls> {
        &self.shared.pending
    }

    pub(crate) fn reply_queue(&self) -> &ReplyQueue {
        &self.shared.reply_queue
    }

    pub(crate) fn reply_watchdog(&self) -> &Arc<ReplyWatchdog> {
        &self.shared.reply_watchdog
    }

    pub(crate) fn queue_names(&self) -> &QueueNames {
        &self.shared.queue_names
    }

    /// What this handle's messages leave on.
    pub(crate) fn publishers(&self) -> &Publishers {
        &self.publishers
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    /// Where calls and casts are reported.
    pub(crate) fn collector(&self) -> Option<&MetricsCollectorClient> {
        self.shared.collector.as_ref()
    }

    /// Whether exceptions of this module may be matched by their class.
    pub(crate) fn allows_remote(&self, module: &str) -> bool {
        BUILTIN_EXMODS.contains(&module)
            || self.shared.allowed_remote_exmods.iter().any(|allowed| allowed == module)
    }

    /// The connections of servers and listeners.
    pub(crate) fn connections(&self) -> &Connections {
        &self.shared.connections
    }

    /// The same transport for one more client or notifier: of several connections to publish on, it
    /// uses the next, and so do its clones.
    pub(crate) fn for_sender(&self) -> Self {
        let index = self.shared.next_publisher.fetch_add(1, Ordering::Relaxed);
        let publishers = Publishers { index, ..self.publishers.clone() };
        Self { shared: Arc::clone(&self.shared), publishers }
    }

    /// The sender of replies, shared by the servers of this transport.
    pub(crate) async fn reply_sender(&self) -> Result<Arc<ReplySender>, Error> {
        let shared = &self.shared;
        shared
            .reply_sender
            .forget_if(|sender| sender.connections().iter().any(|one| one.is_closed()));
        let open = || {
            let compressor = shared.wire.reply_compressor();
            let (connections, timer) = (&shared.connections, Arc::clone(&shared.timer));
            let pool = PublisherPool::new(connections, Purpose::SentReplies, compressor, &timer)
                .with_call_confirms(shared.config.call_confirms);
            let (wire, ids) = (Arc::clone(&shared.wire), Arc::clone(&shared.ids));
            let policy = ReplyRetryPolicy {
                mandatory: shared.config.entities.direct_mandatory,
                missing_timeout: shared.config.missing_queue_timeout,
            };
            async move { Ok(ReplySender::new(pool.open_all().await?, wire, ids, timer, policy)) }
        };
        shared.reply_sender.get_or_open(open).await.map(|sender| Arc::clone(&sender))
    }

    /// Until when a server or listener that starts now waits for a broker; `None` where a broker
    /// has to be there.
    pub(crate) fn start_deadline(&self) -> Option<Instant> {
        let options = &self.config().connection;
        let wait = options.connect_deadline.max(options.operation_timeout);
        (options.connect == ConnectMode::Lazy).then(|| timer::deadline_in(wait))
    }

    /// Calls `open` for a server or listener that starts: once, or until `deadline` if there is
    /// one.
    pub(crate) async fn open_for_start<T, F: Future<Output = Result<T, Error>>>(
        &self,
        deadline: Option<Instant>,
        open: impl Fn() -> F,
    ) -> Result<T, Error> {
        match deadline {
            Some(deadline) => self.open_until(deadline, open).await,
            None => open().await,
        }
    }

    /// Calls `open` until it succeeds or `deadline` passes; the error then says why a connection is
    /// down.
    pub(crate) async fn open_until<T, F: Future<Output = Result<T, Error>>>(
        &self,
        deadline: Instant,
        open: impl Fn() -> F,
    ) -> Result<T, Error> {
        let why_down = || self.health().connections.iter().find_map(ConnectionHealth::why_down);
        open_until(self.timer(), deadline, open, why_down).await
    }

    /// The name of the reply queue, consumed from before `deadline`.
    pub(crate) async fn open_reply_queue(&self, deadline: Instant) -> Result<Arc<str>, Error> {
        match self.shared.reply_queue.name_if_open() {
            Some(name) => Ok(name),
            None => self.open_until(deadline, || self.shared.reply_queue.open()).await,
        }
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use crate::broker::publish::pool::PublisherPool;
    use crate::error::ErrorKind;
    use crate::message::target::Target;
    use crate::notify::notifier::notifier::Notifier;
    use crate::rpc::client::client::RpcClient;

    use super::*;

    /// Ends the connections that are published on, as their owner would.
    fn end(pool: &PublisherPool) {
        let connection = pool.opened().next().unwrap();
        block_on(connection.close()).unwrap();
    }

    #[test]
    fn what_has_ended_for_good_is_opened_again() {
        let transport = Transport::connect_blocking("fake:///opened-again").unwrap();
        let client = RpcClient::new(&transport, Target::new("t"));
        let notifier = Notifier::builder(&transport).build();
        for _ in 0..3 {
            client.cast_blocking((), "m", &()).unwrap();
            client.cast_buffered_blocking((), "m", &()).unwrap();
            notifier.info_blocking((), "e", &()).unwrap();
            transport.publishers.pools.all().for_each(end);
            let lost = client.cast_blocking((), "m", &()).unwrap_err();
            assert_eq!(lost.outcome(), Some(crate::error::Outcome::NotSent), "{lost}");
            // The loss of one is the reason to look at the client's others.
            client.cast_buffered_blocking((), "m", &()).unwrap();
            notifier.info_blocking((), "e", &()).unwrap_err();
        }
        client.cast_blocking((), "m", &()).unwrap();
        transport.close_blocking().unwrap();
        client.cast_blocking((), "m", &()).unwrap_err();
        let last = client.cast_blocking((), "m", &()).unwrap_err();
        assert_eq!(last.kind(), ErrorKind::Closed, "{last}");
    }
}
