//! Describes a listener, and starts it.

use std::sync::Arc;
use std::time::Duration;

use leveret_engine::{DeliverySink, block_on};

use crate::broker::errors;
use crate::broker::purpose::Purpose;
use crate::broker::subscriber::Subscriber;
use crate::error::{Error, ErrorKind};
use crate::message::priority::Priority;
use crate::message::serializer::Serializer;
use crate::message::target::Target;
use crate::notify::listener::batcher::Batching;
use crate::notify::listener::endpoint::NotificationEndpoint;
use crate::notify::listener::processor::NotificationProcessor;
use crate::runtime::executor::Executor;
use crate::runtime::shutdown::{LOG_AFTER, Shutdown};
use crate::topology::Subscription;
use crate::transport::transport::Transport;

use crate::notify::listener::listener::NotificationListener;
use crate::notify::listener::sink::NotificationSink;

/// The default prefetch: unacknowledged notifications per consumer. Twice the size of a batch, if
/// that is more, so that one batch gathers while another is processed.
const PREFETCH: u16 = 2048;

/// Describes a listener before it starts.
#[must_use = "a listener listens once it is started"]
pub struct NotificationListenerBuilder {
    transport: Transport,
    targets: Vec<Target>,
    endpoints: Vec<NotificationEndpoint>,
    executor: Executor,
    serializer: Option<Arc<dyn Serializer>>,
    pool: Option<String>,
    allow_requeue: bool,
    attempts_max: Option<u32>,
    log_after: Duration,
    batch_size: Option<usize>,
    batch_timeout: Option<Duration>,
}

impl NotificationListener {
    /// Describes a listener on `target`, which needs a topic. Its exchange is the transport's if
    /// `target` names none.
    ///
    /// ```
    /// use leveret::{Notification, NotificationEndpoint, NotificationListener, Target, Transport};
    ///
    /// # fn main() -> Result<(), leveret::Error> {
    /// let transport = Transport::connect_blocking("fake://")?;
    /// let endpoint = NotificationEndpoint::new()
    ///     .info(|notification: Notification| println!("{}", notification.event_type));
    /// let listener = NotificationListener::builder(&transport, Target::new("notifications"))
    ///     .endpoint(endpoint)
    ///     .start_blocking()?;
    /// listener.wait_blocking()?;
    /// transport.close_blocking()
    /// # }
    /// ```
    pub fn builder(transport: &Transport, target: Target) -> NotificationListenerBuilder {
        NotificationListenerBuilder {
            transport: transport.clone(),
            targets: vec![target],
            endpoints: Vec::new(),
            executor: Executor::default(),
            serializer: None,
            pool: None,
            allow_requeue: false,
            attempts_max: Some(10),
            log_after: LOG_AFTER,
            batch_size: None,
            batch_timeout: None,
        }
    }
}

impl NotificationListenerBuilder {
    /// Adds a topic.
    pub fn target(mut self, target: Target) -> Self {
        self.targets.push(target);
        self
    }

    /// Adds an endpoint. A notification goes to all of them in their order, until one requeues it
    /// or fails.
    pub fn endpoint(mut self, endpoint: NotificationEndpoint) -> Self {
        self.endpoints.push(endpoint);
        self
    }

    /// Sets where endpoints run. Default: [`Executor::default`].
    pub fn executor(mut self, executor: Executor) -> Self {
        self.executor = executor;
        self
    }

    /// Passes contexts and payloads through `serializer` before they are read. A notification that
    /// it refuses has failed.
    pub fn serializer(mut self, serializer: impl Serializer) -> Self {
        self.serializer = Some(Arc::new(serializer));
        self
    }

    /// Puts the listener into a pool: every pool gets each notification once, and so do the
    /// listeners without a pool. The queue of the latter exists in any case, so a listener has to
    /// consume it.
    pub fn pool(mut self, pool: impl Into<String>) -> Self {
        self.pool = Some(pool.into());
        self
    }

    /// Sets whether notifications that an endpoint requeues or fails at go back to their queue.
    /// Default: false, everything is acknowledged, as in oslo.
    ///
    /// A requeued notification comes again at once, to any listener of the queue, as often as an
    /// endpoint requeues it.
    pub fn allow_requeue(mut self, allowed: bool) -> Self {
        self.allow_requeue = allowed;
        self
    }

    /// Sets how often a notification may fail here (by error or panic, not by a requeue), if the
    /// listener [allows requeuing](Self::allow_requeue); then it is rejected, which drops it or
    /// sends it to the queue's dead letter exchange. Default: 10, at least 1; `None` for no limit,
    /// as in oslo.
    ///
    /// Between two attempts the listener keeps it unacknowledged: 100 ms at first, twice as long
    /// each time, 10 s at most, so that ten attempts take half a minute. Meanwhile it counts
    /// against the prefetch.
    pub fn attempts_max(mut self, attempts: impl Into<Option<u32>>) -> Self {
        self.attempts_max = attempts.into();
        self
    }

    /// Sets after which time a stop or a wait that has not ended is logged; zero for never. Default
    /// 30 s, as oslo's `log_after`.
    pub fn log_after(mut self, time: Duration) -> Self {
        self.log_after = time;
        self
    }

    /// Sets the size of batches; the prefetch (`rabbit_qos_prefetch_count`) limits it, if that is
    /// set. A batch of 8 MiB is full.
    pub fn batch_size(mut self, size: usize) -> Self {
        self.batch_size = Some(size.max(1));
        self
    }

    /// Sets after how long since the last batch one that is not full is processed, unless it is
    /// empty.
    pub fn batch_timeout(mut self, timeout: Duration) -> Self {
        self.batch_timeout = Some(timeout);
        self
    }

    /// Connects, declares the queues and begins to listen.
    ///
    /// With a [lazy](crate::TransportBuilder::lazy) transport it waits for a broker, for
    /// `connect_deadline` and for `operation_timeout` (10 s) at least.
    ///
    /// # Cancel safety
    /// Dropping the future leaves no consumer and no connection behind.
    ///
    /// # Errors
    /// `MessagingTimeout` when a lazy transport finds no broker in time;
    /// `InvalidTarget` without a topic; `ServerListenError` without an endpoint, with a batch that
    /// nothing ever completes, or when a queue or exchange exists with other options (406);
    /// `ExecutorLoadFailure` when async functions are to run inline; `TransportDriverError` when no
    /// broker is reached.
    pub async fn start(self) -> Result<NotificationListener, Error> {
        let any_async = self.endpoints.iter().any(NotificationEndpoint::has_async_functions);
        self.executor.check("functions", any_async)?;
        let subscriptions = self.subscriptions()?;
        let prefetch = self.transport.wire().listener_prefetch();
        let batching = self.batching(prefetch)?;
        let twice = batching.map_or(0, |batching| batching.size.saturating_mul(2));
        let prefetch = match prefetch {
            0 => PREFETCH.max(u16::try_from(twice).unwrap_or(u16::MAX)),
            prefetch => prefetch,
        };
        let Self {
            transport,
            targets,
            endpoints,
            executor,
            serializer,
            allow_requeue,
            attempts_max,
            log_after,
            ..
        } = self;
        let again = (allow_requeue, attempts_max);
        let unacknowledged = subscriptions.len() * usize::from(prefetch);
        let processor = NotificationProcessor::new(
            endpoints,
            serializer,
            again,
            executor,
            unacknowledged,
            &transport,
        );
        if let Some(batching) = batching {
            processor.start_batching(batching);
        }
        let sink = |_: &Subscription| -> Box<dyn DeliverySink> {
            Box::new(NotificationSink::new(&processor))
        };
        let (connections, purpose) = (transport.connections(), Purpose::Listener);
        let open = || Subscriber::open(connections, purpose, prefetch, &subscriptions, &sink);
        let subscriber = transport.open_for_start(transport.start_deadline(), open).await;
        let subscriber = subscriber.map_err(|error| errors::listen_error(error, &targets[0]))?;
        if let Some(consumer) = subscriber.consumer() {
            processor.limit().attach(consumer, subscriber.has_own_connection());
        }
        let shutdown = Shutdown::new("listener", transport.timer(), log_after);
        Ok(NotificationListener { subscriber, processor, shutdown })
    }

    /// [`start`](Self::start) for a plain thread.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_blocking(self) -> Result<NotificationListener, Error> {
        block_on(self.start())
    }

    /// The queues of all targets and of the priorities that some endpoint has a function for.
    fn subscriptions(&self) -> Result<Vec<Subscription>, Error> {
        let is_taken = |priority: &Priority| {
            self.endpoints.iter().any(|endpoint| endpoint.function(*priority).is_some())
        };
        let (wire, mut all) = (self.transport.wire(), Vec::new());
        for target in &self.targets {
            for priority in Priority::ALL.into_iter().filter(is_taken) {
                all.extend(wire.listener_queues(target, priority, self.pool.as_deref())?);
            }
        }
        if all.is_empty() {
            return Err(unservable("no endpoint has a function for any priority"));
        }
        Ok(all)
    }

    fn batching(&self, prefetch: u16) -> Result<Option<Batching>, Error> {
        let timeout = self.batch_timeout;
        let size = match (self.batch_size, timeout) {
            (None, None) => return Ok(None),
            (size, _) if matches!(self.executor, Executor::Inline) => {
                let _ = size;
                return Err(unservable(
                    "batches need threads or a runtime, not the inline executor",
                ));
            }
            (Some(size), _) => size,
            (None, Some(_)) => usize::from(PREFETCH),
        };
        let size = if prefetch > 0 { size.min(prefetch.into()) } else { size };
        if size > usize::from(u16::MAX) {
            return Err(unservable(
                "a batch holds 65,535 notifications at most, as AMQP's prefetch",
            ));
        }
        Ok(Some(Batching { size, timeout }))
    }
}

fn unservable(reason: &str) -> Error {
    Error::new(ErrorKind::ServerListenError, format!("cannot listen: {reason}"))
}
