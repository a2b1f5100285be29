//! A transport: what a URL stands for. Joins engine, dialect and options, and owns what clients and
//! servers share.
//!
//! Requests, notifications, replies to our calls, replies of ours, and each server and listener
//! have channels of their own, on connections of their own unless options say otherwise. The first
//! to publish on is opened at once, so that mistakes show early, the others by their first use.
//! Clones share all of them. Not here: what is sent over them (`rpc`, `notify`), which connection
//! is shared by whom (`broker`).

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use leveret_engine::{ConnectMode, Engine, block_on};

use crate::broker::connections::Connections;
use crate::broker::lease::Purpose;
use crate::broker::open_once::OpenOnce;
use crate::broker::publish::pool::PublisherPool;
use crate::codec::serialization::Serialization;
use crate::config::{DriverConfig, SendingDialect, ServingDialect};
use crate::dialect::kombu::{self, Topology};
use crate::dialect::pika;
use crate::error::{Error, ErrorKind};
use crate::ids::IdSource;
use crate::message::form::WireFormat;
use crate::observe::collector::Collector;
use crate::observe::counters::Counters;
use crate::runtime::timer;
use crate::runtime::timer::Timer;
use crate::topology::Exchange;

use crate::transport::builder::TransportBuilder;
use crate::transport::pending_calls::{Monitoring, PendingCalls};
use crate::transport::reply_queue::ReplyQueue;
use crate::transport::reply_sender::{ReplyRetryPolicy, ReplySender};
use crate::transport::reply_watchdog::ReplyWatchdog;

/// A way to the brokers of a URL. Cheap to clone; clones share connections.
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
    pub(super) shared: Arc<Shared>,
    /// Which of several connections to publish on this handle's messages leave on, so that they
    /// stay in order.
    pub(super) lane: usize,
}

pub(super) struct Shared {
    pub(super) engine: Engine,
    pub(super) owns_engine: bool,
    pub(super) connections: Arc<Connections>,
    /// The lane of the next client or notifier.
    pub(super) next_lane: AtomicUsize,
    pub(super) config: DriverConfig,
    pub(super) topology: Topology,
    pub(super) pika: pika::Topology,
    pub(super) ids: Arc<IdSource>,
    pub(super) timer: Arc<Timer>,
    pub(super) book: Arc<PendingCalls>,
    pub(super) canary: ReplyWatchdog,
    pub(super) counters: Counters,
    /// Where calls and casts are reported, if the options say so.
    pub(super) collector: Option<Collector>,
    pub(super) publishing: PublisherPool,
    /// Buffered casts, where each purpose has a connection of its own: a flood of them would hold
    /// up whoever waits for an answer.
    pub(super) casting: Option<PublisherPool>,
    /// Notifications leave on channels of their own, by default on a connection of their own, so
    /// that a flood of them holds up no call.
    pub(super) notifying: PublisherPool,
    pub(super) replies: OpenOnce<ReplyQueue>,
    /// The same for the transport's life, as servers try for a while to reach it.
    pub(super) reply_id: OpenOnce<String>,
    /// Exchanges of servers that calls were made to, which their replies come through.
    pub(super) heard: Mutex<Vec<Exchange>>,
    pub(super) answering: OpenOnce<Arc<ReplySender>>,
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
    /// Calls under way.
    pub calls_outstanding: usize,
    /// Replies nobody waited for any more.
    pub replies_late: u64,
    /// Replies of this transport's servers that nobody will ever get.
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
    /// Connects to the first broker of `url` that answers, with default options and an engine of
    /// its own. To wait for a broker, or to begin without one, see
    /// [`TransportBuilder::connect_deadline`] and [`TransportBuilder::lazy`].
    ///
    /// # Errors
    /// `InvalidTransportUrl`, `DriverLoadFailure` and `Unsupported` for the URL; `InvalidOptions`
    /// for options that contradict each other;
    /// `TransportDriverError` when no broker is reached or it refuses us, saying why.
    pub async fn connect(url: &str) -> Result<Self, Error> {
        Self::builder(url).connect().await
    }

    /// [`connect`](Self::connect) for a plain thread.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn connect_blocking(url: &str) -> Result<Self, Error> {
        Self::builder(url).connect_blocking()
    }

    /// A transport with options or an engine that is there already.
    pub fn builder(url: &str) -> TransportBuilder {
        TransportBuilder::new(url)
    }

    /// Sends what is waiting and ends all connections. Clients and servers of this transport fail
    /// afterwards.
    ///
    /// # Errors
    /// `MessagingTimeout` when a broker does not take its leave, `TransportDriverError` when one
    /// was lost before everything sent was confirmed; the connections are gone all the same.
    pub async fn close(&self) -> Result<(), Error> {
        let shared = &self.shared;
        let published = shared.publishing.close().await;
        let cast = match &shared.casting {
            Some(casting) => casting.close().await,
            None => Ok(()),
        };
        let notified = shared.notifying.close().await;
        shared.answering.close();
        let answered = match shared.answering.get() {
            Some(answering) => answering.close().await,
            None => Ok(()),
        };
        shared.replies.close();
        let replied = match shared.replies.get().and_then(|queue| queue.retire()) {
            Some(subscriber) => subscriber.close().await,
            None => Ok(()),
        };
        let ended = shared.connections.close().await;
        if shared.owns_engine {
            shared.engine.shutdown().await;
        }
        published.and(cast).and(notified).and(answered).and(replied).and(ended)
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
        let shared = &self.shared;
        let casting = || shared.casting.iter().flat_map(PublisherPool::opened);
        let publishing = || shared.publishing.opened().chain(casting());
        TransportStats {
            calls_outstanding: shared.book.outstanding(),
            replies_late: shared.book.late(),
            replies_dropped: shared.answering.get().map_or(0, |answering| answering.dropped()),
            casts_refused: publishing().map(|one| one.unwatched_failures()).sum(),
            casts_lost: publishing().map(|one| one.unwatched_losses()).sum(),
            reconnects: publishing().map(|one| one.reconnects()).sum(),
        }
    }

    pub(crate) fn topology(&self) -> &Topology {
        &self.shared.topology
    }

    pub(crate) fn pika(&self) -> &pika::Topology {
        &self.shared.pika
    }

    /// The dialects its servers and listeners understand.
    pub(crate) fn serving(&self) -> ServingDialect {
        self.shared.config.serving.unwrap_or_default()
    }

    /// The dialect of its clients and notifiers.
    pub(crate) fn sending(&self) -> SendingDialect {
        self.shared.config.sending.unwrap_or_default()
    }

    /// The form of what is sent, serialised like this where the dialect leaves a choice.
    pub(crate) fn form(&self, chosen: Option<&Serialization>) -> WireFormat {
        match self.sending() {
            SendingDialect::Kombu => WireFormat::Kombu,
            SendingDialect::Auto => WireFormat::Both,
            SendingDialect::Pika => {
                WireFormat::Pika(chosen.unwrap_or(&self.config().pika.serialization).clone())
            }
        }
    }

    /// Refuses a choice of serialisation where the dialect leaves none.
    pub(crate) fn check_serialization(&self, chosen: Option<&Serialization>) -> Result<(), Error> {
        let is_json = chosen.is_none_or(|one| *one == Serialization::Json);
        if is_json || self.sending() == SendingDialect::Pika {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Unsupported,
            "only the pika dialect has a choice of serialisations; what receivers of the rabbit \
             driver are to read is JSON",
        ))
    }

    /// What comes of the wish for signs of life: servers of the `pika` dialect give none.
    pub(crate) fn monitoring(&self, interval: Option<Duration>) -> Option<Monitoring> {
        let is_expected = self.sending() == SendingDialect::Kombu;
        let interval = interval.filter(|_| self.sending() != SendingDialect::Pika)?;
        Some(Monitoring { interval, is_expected })
    }

    pub(crate) fn ids(&self) -> &IdSource {
        &self.shared.ids
    }

    pub(crate) fn timer(&self) -> &Arc<Timer> {
        &self.shared.timer
    }

    pub(crate) fn book(&self) -> &Arc<PendingCalls> {
        &self.shared.book
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    /// Where calls and casts are reported.
    pub(crate) fn collector(&self) -> Option<&Collector> {
        self.shared.collector.as_ref()
    }

    /// Whether exceptions of this module may be matched by their class.
    pub(crate) fn allows_remote(&self, module: &str) -> bool {
        BUILTIN_EXMODS.contains(&module)
            || self.shared.allowed_remote_exmods.iter().any(|allowed| allowed == module)
    }

    /// What lends connections to servers and listeners.
    pub(crate) fn connections(&self) -> &Connections {
        &self.shared.connections
    }

    /// The same transport for one more client or notifier: of several connections to publish on, it
    /// uses the next, and so do its clones.
    pub(crate) fn for_sender(&self) -> Self {
        let lane = self.shared.next_lane.fetch_add(1, Ordering::Relaxed);
        Self { shared: Arc::clone(&self.shared), lane }
    }

    /// The sender of replies, shared by the servers of this transport.
    pub(crate) async fn answering(&self) -> Result<Arc<ReplySender>, Error> {
        let shared = &self.shared;
        let is_gone = |one: &Arc<ReplySender>| one.publishing().iter().any(|on| on.is_gone());
        shared.answering.forget_if(is_gone);
        let open = || {
            let packing = shared.config.compression.map(kombu::packing);
            let lanes =
                PublisherPool::new(&shared.connections, Purpose::Answers, packing, &shared.timer);
            let (ids, timer) = (Arc::clone(&shared.ids), Arc::clone(&shared.timer));
            let persistence = ReplyRetryPolicy {
                mandatory: shared.config.entities.direct_mandatory,
                missing_timeout: shared.config.missing_queue_timeout,
                pika_retry: shared.config.pika.reply_retry,
                pika_delay: shared.config.pika.reply_retry_delay,
            };
            let exchange = shared.pika.reply_exchange();
            async move {
                let publishing = lanes.all().await?;
                Ok(ReplySender::new(publishing, ids, timer, persistence, exchange))
            }
        };
        shared.answering.get_or_open(open).await.map(|answering| Arc::clone(&answering))
    }

    /// Until when a server or listener that starts now waits for a broker; `None` where it has to
    /// be there.
    pub(crate) fn start_deadline(&self) -> Option<Instant> {
        let options = &self.config().connection;
        let patience = options.connect_deadline.max(options.operation_timeout);
        (options.connect == ConnectMode::Lazy).then(|| timer::deadline_in(patience))
    }

    /// What `open` opens for a server or listener that starts.
    pub(crate) async fn started<T, F: Future<Output = Result<T, Error>>>(
        &self,
        deadline: Option<Instant>,
        open: impl Fn() -> F,
    ) -> Result<T, Error> {
        match deadline {
            Some(deadline) => self.opened(deadline, open).await,
            None => open().await,
        }
    }

    /// What `open` opens, tried until `deadline`; the error says then why a connection is down.
    pub(crate) async fn opened<T, F: Future<Output = Result<T, Error>>>(
        &self,
        deadline: Instant,
        open: impl Fn() -> F,
    ) -> Result<T, Error> {
        crate::broker::open::opened(self.timer(), deadline, open, || self.why_not_opened()).await
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use crate::message::target::Target;
    use crate::notify::notifier::notifier::Notifier;
    use crate::rpc::client::client::RpcClient;

    use super::*;

    /// Ends the connections that are published on, as their owner would.
    fn end(lanes: &PublisherPool) {
        let publishing = lanes.opened().next().unwrap();
        block_on(publishing.close()).unwrap();
    }

    #[test]
    fn what_has_ended_for_good_is_opened_again() {
        let transport = Transport::connect_blocking("fake:///opened-again").unwrap();
        let client = RpcClient::new(&transport, Target::new("t"));
        let notifier = Notifier::builder(&transport).build();
        let shared = &transport.shared;
        for _ in 0..3 {
            client.cast_blocking((), "m", &()).unwrap();
            client.cast_buffered_blocking((), "m", &()).unwrap();
            notifier.info_blocking((), "e", &()).unwrap();
            for lanes in [&shared.publishing, shared.casting.as_ref().unwrap(), &shared.notifying] {
                end(lanes);
            }
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
