//! The options of a transport, under their oslo names and with oslo's defaults where it has them.
//!
//! Plain data. Not here: where values come from (`loader`, `overrides`), and which of them
//! contradict each other (`check`).

use std::time::Duration;

use crate::config::options::connection::ConnectionOptions;
use crate::config::options::dialects::{Redelivered, SendingDialect, ServingDialect};
use crate::config::options::entities::EntityOptions;
use crate::config::options::factory::ConnectionFactory;
use crate::config::options::metrics::MetricsOptions;
use crate::config::options::pika::PikaOptions;
use crate::config::options::recovery::{Failover, PoolOptions};
use crate::config::options::stable_names::StableNames;

/// Options of a transport.
///
/// ```
/// use std::time::Duration;
///
/// let config = leveret::DriverConfig::default()
///     .with_control_exchange("nova")
///     .with_response_timeout(Duration::from_secs(30));
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct DriverConfig {
    /// `control_exchange`: the exchange of targets that name none. Default `openstack`.
    pub control_exchange: String,
    /// `rpc_response_timeout`: how long a call waits unless it says otherwise. Default 60 s.
    pub response_timeout: Duration,
    /// `executor_thread_pool_size`: most threads a server runs endpoints on. Default 64.
    pub executor_threads: usize,
    /// `rpc_ping_enabled`: servers answer `oslo_rpc_server_ping` with `pong`, in no namespace and
    /// version 1.0, unless an endpoint has that method. Default false.
    pub rpc_ping: bool,
    /// `heartbeat_timeout_threshold`: the heartbeat asked for, in whole seconds; zero for none. A
    /// broker silent for twice as long counts as dead. Default 10 s (oslo: 60 s). `heartbeat_rate`
    /// is accepted and does nothing: a sign of life leaves whenever nothing else did for half the
    /// interval, whatever threads do.
    pub heartbeat: Duration,
    /// `rabbit_login_method`. Default AMQPLAIN.
    pub login_method: LoginMethod,
    /// `rabbit_retry_interval`: first wait between attempts to connect. Default 0.1 s (oslo: 1 s).
    pub retry_interval: Duration,
    /// `rabbit_retry_backoff`: what the wait grows by each time. Default none: it is doubled each
    /// time (oslo: 2 s are added).
    pub retry_backoff: Option<Duration>,
    /// `rabbit_interval_max`: longest wait between attempts to connect. Default 2 s, where oslo has
    /// 30 s: waits are drawn at random here, so short ones do no harm to a broker that comes back.
    pub retry_interval_max: Duration,
    /// `kombu_reconnect_delay`: the wait before the first attempt after a loss, 0 to 4.5 s.
    /// Default 0 (oslo: 1 s): nothing here needs it.
    pub reconnect_delay: Duration,
    /// `kombu_reconnect_splay`: a random part of this is added to that wait. Default 0.
    pub reconnect_splay: Duration,
    /// `kombu_failover_strategy`: the order hosts are tried in. Default round-robin.
    pub failover: Failover,
    /// `rabbit_qos_prefetch_count`: most unacknowledged requests a server holds, 0 for no limit.
    /// Default 0.
    pub prefetch: u16,
    /// `kombu_missing_consumer_retry_timeout`: how long a reply is tried on a queue that is
    /// missing. Default 60 s.
    pub missing_queue_timeout: Duration,
    /// `kombu_compression`: every message sent is compressed. Default none. What comes compressed
    /// like that is read in any case, up to 64 MiB of text; kombu's other ways (`bzip2`, `lzma`)
    /// are not. A compressed reply costs its caller a detour through one thread of the transport
    /// and a second decompression.
    pub compression: Option<Compression>,
    /// What exchanges and queues are declared like, those of the `pika` dialect apart.
    pub entities: EntityOptions,
    /// `dialect_serving`: what servers and listeners understand. Default by the URL's scheme:
    /// `kombu`, but `pika` for `pika://`.
    pub serving: Option<ServingDialect>,
    /// `dialect_sending`: what clients and notifiers send. Default by the URL's scheme, likewise.
    pub sending: Option<SendingDialect>,
    /// `redelivered`: what servers do with requests the broker has delivered before. Default
    /// dispatch.
    pub redelivered: Redelivered,
    /// How the `pika` dialect is spoken.
    pub pika: PikaOptions,
    /// `connection_factory`: how many connections there are, and what shares them. Default:
    /// [`PikaOptions::connection_factory`] for `pika://`, else `new`.
    pub connection_factory: Option<ConnectionFactory>,
    /// Memory and patience of each connection.
    pub connection: ConnectionOptions,
    /// Names of reply and fanout queues that survive a restart.
    pub stable_names: StableNames,
    /// The connection pool of oslo's driver, which is not needed here.
    pub pool: PoolOptions,
    /// Reports to a collector of oslo.metrics.
    pub metrics: MetricsOptions,
}

/// How messages are compressed, as kombu does it.
///
/// ```
/// use leveret::{Compression, DriverConfig};
///
/// let config = DriverConfig::default().with_compression(Some(Compression::Gzip));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// `gzip` (or `zlib`): a zlib stream, whatever its label `application/x-gzip` says.
    Gzip,
}

/// How a client proves who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginMethod {
    /// User and password in SASL's standard form.
    Plain,
    /// User and password in RabbitMQ's older form, oslo's default.
    AmqPlain,
    /// The broker knows from the connection itself.
    External,
}

impl Default for DriverConfig {
    fn default() -> Self {
        Self {
            control_exchange: "openstack".into(),
            response_timeout: Duration::from_secs(60),
            executor_threads: 64,
            rpc_ping: false,
            heartbeat: Duration::from_secs(10),
            login_method: LoginMethod::AmqPlain,
            retry_interval: Duration::from_millis(100),
            retry_backoff: None,
            retry_interval_max: Duration::from_secs(2),
            reconnect_delay: Duration::ZERO,
            reconnect_splay: Duration::ZERO,
            failover: Failover::RoundRobin,
            prefetch: 0,
            missing_queue_timeout: Duration::from_secs(60),
            compression: None,
            entities: EntityOptions::default(),
            serving: None,
            sending: None,
            redelivered: Redelivered::default(),
            pika: PikaOptions::default(),
            connection_factory: None,
            connection: ConnectionOptions::default(),
            stable_names: StableNames::default(),
            pool: PoolOptions::default(),
            metrics: MetricsOptions::default(),
        }
    }
}

impl DriverConfig {
    /// The same options with this control exchange.
    #[must_use]
    pub fn with_control_exchange(mut self, exchange: impl Into<String>) -> Self {
        self.control_exchange = exchange.into();
        self
    }

    /// The same options with this default timeout of calls.
    #[must_use]
    pub const fn with_response_timeout(mut self, timeout: Duration) -> Self {
        self.response_timeout = timeout;
        self
    }

    /// The same options with this many endpoint threads a server.
    #[must_use]
    pub const fn with_executor_threads(mut self, threads: usize) -> Self {
        self.executor_threads = threads;
        self
    }

    /// The same options, servers answering `oslo_rpc_server_ping` or not.
    #[must_use]
    pub const fn with_rpc_ping(mut self, enabled: bool) -> Self {
        self.rpc_ping = enabled;
        self
    }

    /// The same options with this heartbeat timeout, zero for none.
    #[must_use]
    pub const fn with_heartbeat(mut self, timeout: Duration) -> Self {
        self.heartbeat = timeout;
        self
    }

    /// The same options with this login method.
    #[must_use]
    pub const fn with_login_method(mut self, method: LoginMethod) -> Self {
        self.login_method = method;
        self
    }

    /// The same options with this prefetch of servers, 0 for no limit.
    #[must_use]
    pub const fn with_prefetch(mut self, prefetch: u16) -> Self {
        self.prefetch = prefetch;
        self
    }

    /// The same options with messages compressed this way.
    #[must_use]
    pub const fn with_compression(mut self, compression: Option<Compression>) -> Self {
        self.compression = compression;
        self
    }

    /// The same options with exchanges and queues declared this way.
    #[must_use]
    pub const fn with_entities(mut self, entities: EntityOptions) -> Self {
        self.entities = entities;
        self
    }

    /// The same options with connections of these bounds.
    #[must_use]
    pub const fn with_connection(mut self, connection: ConnectionOptions) -> Self {
        self.connection = connection;
        self
    }

    /// The same options with reply and fanout queues named this way.
    #[must_use]
    pub fn with_stable_names(mut self, names: StableNames) -> Self {
        self.stable_names = names;
        self
    }

    /// The same options with calls and casts reported this way.
    #[must_use]
    pub fn with_metrics(mut self, metrics: MetricsOptions) -> Self {
        self.metrics = metrics;
        self
    }

    /// The same options, servers and listeners understanding this.
    ///
    /// ```
    /// use leveret::{DriverConfig, ServingDialect};
    ///
    /// let config = DriverConfig::default().with_serving(ServingDialect::Both);
    /// assert_eq!(config.serving, Some(ServingDialect::Both));
    /// ```
    #[must_use]
    pub const fn with_serving(mut self, dialect: ServingDialect) -> Self {
        self.serving = Some(dialect);
        self
    }

    /// The same options, clients and notifiers sending this.
    ///
    /// ```
    /// use leveret::{DriverConfig, SendingDialect};
    ///
    /// let config = DriverConfig::default().with_sending(SendingDialect::Auto);
    /// assert_eq!(config.sending, Some(SendingDialect::Auto));
    /// ```
    #[must_use]
    pub const fn with_sending(mut self, dialect: SendingDialect) -> Self {
        self.sending = Some(dialect);
        self
    }

    /// The same options, servers doing this with requests that were delivered before.
    ///
    /// ```
    /// use leveret::{DriverConfig, Redelivered};
    ///
    /// let config = DriverConfig::default().with_redelivered(Redelivered::Refuse);
    /// assert_eq!(config.redelivered, Redelivered::Refuse);
    /// ```
    #[must_use]
    pub const fn with_redelivered(mut self, redelivered: Redelivered) -> Self {
        self.redelivered = redelivered;
        self
    }

    /// The same options with this factory of connections.
    ///
    /// ```
    /// use leveret::{ConnectionFactory, DriverConfig};
    ///
    /// let config = DriverConfig::default().with_connection_factory(ConnectionFactory::Pool(2));
    /// assert_eq!(config.connection_factory, Some(ConnectionFactory::Pool(2)));
    /// ```
    #[must_use]
    pub const fn with_connection_factory(mut self, factory: ConnectionFactory) -> Self {
        self.connection_factory = Some(factory);
        self
    }

    /// The same options with the `pika` dialect spoken this way.
    ///
    /// ```
    /// use leveret::{DriverConfig, PikaOptions};
    ///
    /// let mut pika = PikaOptions::default();
    /// pika.notification_persistence = true;
    /// let config = DriverConfig::default().with_pika(pika);
    /// assert!(config.pika.notification_persistence);
    /// ```
    #[must_use]
    pub fn with_pika(mut self, pika: PikaOptions) -> Self {
        self.pika = pika;
        self
    }
}
