//! The options of a transport, under their oslo names and with oslo's defaults where it has them.
//!
//! Plain data. Not here: where values come from (`loader`, `overrides`), and which of them
//! contradict each other (`check`).

use std::time::Duration;

use crate::config::options::acknowledgements::{CallConfirms, RequestAcks};
use crate::config::options::connection::ConnectionOptions;
use crate::config::options::dialects::{Redelivered, SendingDialect, ServingDialect};
use crate::config::options::entities::EntityOptions;
use crate::config::options::factory::ConnectionFactory;
use crate::config::options::metrics::MetricsOptions;
use crate::config::options::pika::PikaOptions;
use crate::config::options::recovery::{Failover, PoolOptions};
use crate::config::options::stable_names::StableNames;
use crate::config::options::tls::TlsOptions;

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
    /// `rpc_response_timeout`: the default timeout of calls. Default 60 s.
    pub response_timeout: Duration,
    /// `executor_thread_pool_size`: threads per server that run endpoints. Default 64.
    pub executor_threads: usize,
    /// `rpc_ping_enabled`: servers answer `oslo_rpc_server_ping` with `pong`, in no namespace and
    /// version 1.0, unless an endpoint has that method. Default false.
    pub rpc_ping: bool,
    /// `heartbeat_timeout_threshold`: the heartbeat to request, in whole seconds; zero for none.
    /// The connection to a broker that is silent for twice as long is closed. Default 10 s (oslo:
    /// 60 s). `heartbeat_rate` is accepted and has no effect: the shard sends a heartbeat whenever
    /// it sent nothing else for half the interval.
    pub heartbeat: Duration,
    /// `rabbit_login_method`: the SASL mechanism. Default AMQPLAIN.
    pub login_method: LoginMethod,
    /// `rabbit_retry_interval`: the first wait between attempts to connect. Default 0.1 s (oslo:
    /// 1 s).
    pub retry_interval: Duration,
    /// `rabbit_retry_backoff`: what is added to the wait after each attempt. Default none: the wait
    /// doubles (oslo adds 2 s).
    pub retry_backoff: Option<Duration>,
    /// `rabbit_interval_max`: the longest wait between attempts to connect. Default 2 s (oslo: 30
    /// s): waits are random, so that short ones do not overload a broker that restarts.
    pub retry_interval_max: Duration,
    /// `kombu_reconnect_delay`: the wait before the first attempt after a lost connection, 0 to
    /// 4.5 s. Default 0 (oslo: 1 s).
    pub reconnect_delay: Duration,
    /// `kombu_reconnect_splay`: the upper bound of a random addition to that wait. Default 0.
    pub reconnect_splay: Duration,
    /// `kombu_failover_strategy`: the order in which hosts are tried. Default round-robin.
    pub failover: Failover,
    /// `rabbit_qos_prefetch_count`: unacknowledged requests per server, 0 for no limit. Default 0.
    pub prefetch: u16,
    /// `kombu_missing_consumer_retry_timeout`: how long a reply to a missing queue is sent again.
    /// Default 60 s.
    pub missing_queue_timeout: Duration,
    /// `kombu_compression`: the compression of every message sent. Default none. Received messages
    /// with this compression are always decoded, up to 64 MiB of text; those with kombu's other
    /// compressions (`bzip2`, `lzma`) are not. One thread of the transport matches compressed
    /// replies to their callers, and decompresses them once more than others.
    pub compression: Option<Compression>,
    /// How exchanges and queues are declared, except those of the `pika` dialect.
    pub entities: EntityOptions,
    /// `dialect_serving`: the dialects that servers and listeners accept. Default by the URL's
    /// scheme: `kombu`, but `pika` for `pika://`.
    pub serving: Option<ServingDialect>,
    /// `dialect_sending`: the dialect of clients and notifiers. Default by the URL's scheme,
    /// likewise.
    pub sending: Option<SendingDialect>,
    /// `redelivered`: what servers do with requests that the broker redelivers. Default dispatch.
    pub redelivered: Redelivered,
    /// `call_confirms`: how requests of calls and replies are confirmed. Default each.
    pub call_confirms: CallConfirms,
    /// `request_acks`: when servers acknowledge requests. Default each at once.
    pub request_acks: RequestAcks,
    /// Options of the `pika` dialect.
    pub pika: PikaOptions,
    /// `connection_factory`: how many connections the transport opens, and what shares them.
    /// Default: [`PikaOptions::connection_factory`] for `pika://`, else `new`.
    pub connection_factory: Option<ConnectionFactory>,
    /// Memory limits and timeouts of each connection.
    pub connection: ConnectionOptions,
    /// How connections are encrypted.
    pub tls: TlsOptions,
    /// Names of reply and fanout queues that stay the same when a service restarts.
    pub stable_names: StableNames,
    /// The connection pool of oslo's driver, which Leveret does not need.
    pub pool: PoolOptions,
    /// Reports to a collector of oslo.metrics.
    pub metrics: MetricsOptions,
}

/// The compression of messages, as by kombu.
///
/// ```
/// use leveret::{Compression, DriverConfig};
///
/// let config = DriverConfig::default().with_compression(Some(Compression::Gzip));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// `gzip` (or `zlib`): a zlib stream, although its label is `application/x-gzip`.
    Gzip,
}

/// The SASL mechanism by which a client authenticates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginMethod {
    /// User and password in the format of SASL (RFC 4616).
    Plain,
    /// User and password in RabbitMQ's older format; oslo's default.
    AmqPlain,
    /// The broker authenticates the client by the connection, such as by a TLS certificate.
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
            call_confirms: CallConfirms::default(),
            request_acks: RequestAcks::default(),
            pika: PikaOptions::default(),
            connection_factory: None,
            connection: ConnectionOptions::default(),
            tls: TlsOptions::default(),
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

    /// The same options with this many endpoint threads per server.
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

    /// The same options with this compression of messages.
    #[must_use]
    pub const fn with_compression(mut self, compression: Option<Compression>) -> Self {
        self.compression = compression;
        self
    }

    /// The same options with these options of exchanges and queues.
    #[must_use]
    pub const fn with_entities(mut self, entities: EntityOptions) -> Self {
        self.entities = entities;
        self
    }

    /// The same options with these options of connections.
    #[must_use]
    pub const fn with_connection(mut self, connection: ConnectionOptions) -> Self {
        self.connection = connection;
        self
    }

    /// The same options with these options of TLS.
    ///
    /// ```
    /// use leveret::{DriverConfig, TlsOptions};
    ///
    /// let mut tls = TlsOptions::default();
    /// tls.enabled = true;
    /// let config = DriverConfig::default().with_tls(tls);
    /// assert!(config.tls.enabled && config.tls.verify);
    /// ```
    #[must_use]
    pub fn with_tls(mut self, tls: TlsOptions) -> Self {
        self.tls = tls;
        self
    }

    /// The same options with these names of reply and fanout queues.
    #[must_use]
    pub fn with_stable_names(mut self, names: StableNames) -> Self {
        self.stable_names = names;
        self
    }

    /// The same options with these reports of calls and casts.
    #[must_use]
    pub fn with_metrics(mut self, metrics: MetricsOptions) -> Self {
        self.metrics = metrics;
        self
    }

    /// The same options with these dialects of servers and listeners.
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

    /// The same options with this dialect of clients and notifiers.
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

    /// The same options with requests of calls and replies confirmed like this.
    ///
    /// ```
    /// use leveret::{CallConfirms, DriverConfig};
    ///
    /// let config = DriverConfig::default().with_call_confirms(CallConfirms::Together);
    /// assert_eq!(config.call_confirms, CallConfirms::Together);
    /// ```
    #[must_use]
    pub const fn with_call_confirms(mut self, confirms: CallConfirms) -> Self {
        self.call_confirms = confirms;
        self
    }

    /// The same options with requests acknowledged like this.
    ///
    /// ```
    /// use leveret::{DriverConfig, RequestAcks};
    ///
    /// let config = DriverConfig::default().with_request_acks(RequestAcks::Together);
    /// assert_eq!(config.request_acks, RequestAcks::Together);
    /// ```
    #[must_use]
    pub const fn with_request_acks(mut self, acks: RequestAcks) -> Self {
        self.request_acks = acks;
        self
    }

    /// The same options with this treatment of redelivered requests.
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

    /// The same options with these options of the `pika` dialect.
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
