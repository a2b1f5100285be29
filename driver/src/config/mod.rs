//! Options of a transport, under their oslo names and with oslo's defaults where it has them.
//!
//! Set in code with `with_*`, in files and the environment through [`Config`], or in the query of
//! the URL, which wins. `options` is the registry of names, `value` reads and writes what they
//! take, `layers` gathers and `resolve` decides. Every option listed does something; a key that is
//! not listed is an error that names the nearest one that is.

use std::time::Duration;

use crate::config::url::TransportUrl;
use crate::error::{Error, ErrorKind};

mod check;
pub(crate) mod loader;
pub(crate) mod options;
pub(crate) mod registry;
mod resolve;
pub(crate) mod sources;
pub(crate) mod url;

pub use loader::Config;
pub use options::connection::ConnectionOptions;
pub use options::dialects::{Redelivered, SendingDialect, ServingDialect};
pub use options::factory::ConnectionFactory;
pub use options::metrics::MetricsOptions;
pub use options::notifications::NotificationConfig;
pub use options::pika::PikaOptions;
pub use options::profile::QueueProfile;
pub use options::recovery::{Failover, PoolOptions};
pub use options::stable_names::StableNames;
use registry::settings::Settings;
pub use resolve::{Ignored, Setting};
pub use sources::source::Source;

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

/// How exchanges and queues are declared. All peers of a topic must agree, or the broker refuses
/// (406).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EntityOptions {
    /// `queue_profile` (not oslo's): how queues adapt to the broker. Default auto.
    pub profile: QueueProfile,
    /// `amqp_durable_queues`: permanent exchanges and queues survive the broker. Default false.
    pub durable: bool,
    /// `amqp_auto_delete`: permanent exchanges and queues go with their last user. Default false.
    pub auto_delete: bool,
    /// `rabbit_quorum_queue`: permanent queues are quorum queues, everything permanent durable.
    /// Default false.
    pub quorum: bool,
    /// `rabbit_quorum_delivery_limit`: deliveries before a quorum queue drops a message; 0 for the
    /// broker's own.
    pub quorum_delivery_limit: u32,
    /// `rabbit_quorum_max_memory_length`: messages a quorum queue keeps in memory; 0 for the
    /// broker's own.
    pub quorum_max_memory_length: u32,
    /// `rabbit_quorum_max_memory_bytes`: bytes a quorum queue keeps in memory; 0 for the broker's
    /// own.
    pub quorum_max_memory_bytes: u32,
    /// `rabbit_transient_quorum_queue`: reply and fanout queues are durable quorum queues. Default
    /// false.
    pub transient_quorum: bool,
    /// `rabbit_transient_queues_ttl`: life of an unused reply or fanout queue, and of messages in
    /// a fanout stream; zero for ever. Default 30 minutes.
    pub transient_ttl: Duration,
    /// `rabbit_stream_fanout`: all fanouts of a topic go through one stream, `<topic>_fanout`,
    /// which every server reads. Needs `transient_quorum` and a prefetch above zero. A server that
    /// starts reads the last chunk of the stream again, so it may see fanouts that were sent
    /// before it was there, and miss those that came while it was not; one that lost its
    /// connection goes on where it was. Default false.
    pub stream_fanout: bool,
    /// `rabbit_ha_queues`: queues carry `x-ha-policy: all`, which brokers since RabbitMQ 3.0
    /// ignore; peers that set it must agree, as in all. Excludes quorum queues. Default false.
    pub ha: bool,
    /// `enable_cancel_on_failover`: the broker is asked (`x-cancel-on-ha-failover`) to cancel
    /// consumers whose mirrored queue moves; they consume again at once. Default false.
    pub cancel_on_failover: bool,
    /// `direct_mandatory_flag`: a reply to a missing queue is noticed and tried again. Default
    /// true.
    pub direct_mandatory: bool,
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

impl Default for EntityOptions {
    fn default() -> Self {
        Self {
            profile: QueueProfile::Auto,
            durable: false,
            auto_delete: false,
            quorum: false,
            quorum_delivery_limit: 0,
            quorum_max_memory_length: 0,
            quorum_max_memory_bytes: 0,
            transient_quorum: false,
            transient_ttl: Duration::from_secs(1800),
            stream_fanout: false,
            ha: false,
            cancel_on_failover: false,
            direct_mandatory: true,
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

    /// These options overridden by the query of `url`, as a whole found to make sense.
    pub(crate) fn overridden_by(self, url: &TransportUrl) -> Result<Self, Error> {
        let mut settings = Settings { driver: self, ..Settings::default() };
        for (key, value) in url.query() {
            resolve::apply(&mut settings, key, value)?;
        }
        settings.driver.settled(url)
    }

    /// What scheme and profile stand for put in, and the whole found to make sense.
    fn settled(self, url: &TransportUrl) -> Result<Self, Error> {
        // Whether the scheme names a driver at all is asked when one is needed.
        let mut it = self.for_scheme(DriverName::of(url).unwrap_or(DriverName::Kombu));
        it.entities.profile.apply(&mut it.entities);
        check::check(&it)?;
        Ok(it)
    }
}

/// Which driver a URL asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DriverName {
    /// The kombu dialect on a RabbitMQ, unless options say otherwise.
    Kombu,
    /// The pika dialect, likewise.
    Pika,
    /// The kombu dialect, likewise, on the loopback broker of this process.
    Loopback,
}

impl DriverName {
    /// The driver of `url`'s scheme.
    pub(crate) fn of(url: &TransportUrl) -> Result<Self, Error> {
        match url.transport() {
            "rabbit" | "kombu" => Ok(Self::Kombu),
            "pika" => Ok(Self::Pika),
            "fake" => Ok(Self::Loopback),
            secure @ ("rabbits" | "amqps" | "kombus") => Err(tls_unsupported(secure)),
            other => Err(Error::new(
                ErrorKind::DriverLoadFailure,
                format!(
                    "Failed to load transport driver \"{other}\": known drivers are rabbit, kombu, \
                     pika and fake"
                ),
            )),
        }
    }
}

fn tls_unsupported(asked_by: &str) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        format!(
            "TLS, asked for by `{asked_by}`, is not supported yet, and a plain connection is not \
             made instead: connect through a TLS proxy, or drop the option"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_query(query: &str) -> Result<DriverConfig, Error> {
        let url: TransportUrl = format!("rabbit://h/?{query}").parse().unwrap();
        DriverConfig::default().overridden_by(&url)
    }

    #[test]
    fn the_query_overrides() {
        let config = with_query(
            "heartbeat_timeout_threshold=0&rpc_response_timeout=2&amqp_durable_queues=True\
             &rabbit_transient_queues_ttl=60&rabbit_login_method=plain&ssl=false",
        )
        .unwrap();
        assert_eq!(config.heartbeat, Duration::ZERO);
        assert_eq!(config.response_timeout, Duration::from_secs(2));
        assert!(config.entities.durable && !config.entities.auto_delete);
        assert_eq!(config.entities.transient_ttl, Duration::from_secs(60));
        assert_eq!(config.login_method, LoginMethod::Plain);
        let config = with_query(
            "kombu_reconnect_delay=4.5&kombu_reconnect_splay=1&rabbit_retry_backoff=2\
             &kombu_failover_strategy=shuffle&conn_pool_ttl=60&heartbeat_rate=2\
             &ssl_ca_file=/ca.pem&ssl_enforce_fips_mode=false",
        )
        .unwrap();
        assert_eq!(config.reconnect_delay, Duration::from_millis(4500));
        assert_eq!(config.reconnect_splay, Duration::from_secs(1));
        assert_eq!(config.retry_backoff, Some(Duration::from_secs(2)));
        assert_eq!(config.failover, Failover::Shuffle);
        assert_eq!(config.pool.ttl, Duration::from_secs(60));
    }

    #[test]
    fn what_cannot_be_obeyed_is_refused() {
        for (query, kind, text) in [
            (
                "hartbeat_timeout_threshold=3",
                ErrorKind::InvalidTransportUrl,
                "no option hartbeat_timeout_threshold; did you mean heartbeat_timeout_threshold?",
            ),
            ("zzz=3", ErrorKind::InvalidTransportUrl, "no option zzz"),
            (
                "amqp_auto_delete=maybe",
                ErrorKind::InvalidTransportUrl,
                "option amqp_auto_delete takes true or false",
            ),
            (
                "rabbit_qos_prefetch_count=-1",
                ErrorKind::InvalidTransportUrl,
                "option rabbit_qos_prefetch_count takes a whole number from 0 to 65535",
            ),
            (
                "kombu_compression=bz2",
                ErrorKind::InvalidTransportUrl,
                "takes gzip; `bz2`, as oslo documents it, fails with every peer",
            ),
            ("kombu_compression=bzip2", ErrorKind::InvalidTransportUrl, "takes gzip"),
            ("kombu_compression=lzma", ErrorKind::InvalidTransportUrl, "takes gzip"),
            (
                "kombu_reconnect_delay=5",
                ErrorKind::InvalidTransportUrl,
                "option kombu_reconnect_delay takes seconds, from 0 to 4.5",
            ),
            (
                "kombu_failover_strategy=random",
                ErrorKind::InvalidTransportUrl,
                "takes round-robin or shuffle",
            ),
            (
                "rabbit_login_method=RABBIT-CR-DEMO",
                ErrorKind::InvalidTransportUrl,
                "RABBIT-CR-DEMO, which oslo lists, never worked there",
            ),
            ("heartbeat_rate=x", ErrorKind::InvalidTransportUrl, "takes a whole number"),
            ("rpc_conn_pool_size=0", ErrorKind::InvalidTransportUrl, "number from 1 to"),
            ("ssl=true", ErrorKind::Unsupported, "TLS, asked for by `ssl`"),
        ] {
            let error = with_query(query).unwrap_err();
            assert_eq!(error.kind(), kind, "{query}");
            assert!(error.to_string().contains(text), "{error}");
        }
    }

    #[test]
    fn a_profile_stands_for_options() {
        let entities = |query| with_query(query).unwrap().entities;
        assert_eq!(entities("").profile, QueueProfile::Auto);
        let quorum = entities("queue_profile=quorum");
        assert!(quorum.quorum && quorum.transient_quorum);
        let classic = entities("queue_profile=classic");
        assert!(!classic.quorum && !classic.transient_quorum);
        assert_eq!(classic.profile, QueueProfile::Classic);
        let error = with_query("queue_profile=fast").unwrap_err();
        assert!(error.to_string().contains("takes auto, classic, quorum or"), "{error}");
    }

    #[test]
    fn what_contradicts_is_refused() {
        for (query, text) in [
            ("rpc_conn_pool_size=1", "rpc_conn_pool_size: 1 must be greater than"),
            ("use_queue_manager=1&lock_path=/l&hostname=a/b", "neither slashes nor more"),
            ("rabbit_ha_queues=1&rabbit_quorum_queue=1", "rabbit_ha_queues excludes"),
            ("rabbit_ha_queues=1&rabbit_transient_quorum_queue=1", "rabbit_ha_queues excludes"),
            (
                "rabbit_stream_fanout=1&rabbit_qos_prefetch_count=1",
                "rabbit_stream_fanout needs rabbit_transient_quorum_queue",
            ),
            (
                "rabbit_stream_fanout=1&rabbit_transient_quorum_queue=1",
                "rabbit_stream_fanout needs rabbit_qos_prefetch_count",
            ),
        ] {
            let error = with_query(query).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidOptions, "{query}");
            assert!(error.to_string().contains(text), "{error}");
        }
    }

    #[test]
    fn schemes_name_drivers() {
        let driver = |text: &str| DriverName::of(&text.parse::<TransportUrl>().unwrap());
        assert_eq!(driver("rabbit://").unwrap(), DriverName::Kombu);
        assert_eq!(driver("kombu://h").unwrap(), DriverName::Kombu);
        assert_eq!(driver("pika://h").unwrap(), DriverName::Pika);
        assert_eq!(driver("fake://").unwrap(), DriverName::Loopback);
        assert_eq!(driver("amqps://h").unwrap_err().kind(), ErrorKind::Unsupported);
        assert_eq!(driver("zmq://h").unwrap_err().kind(), ErrorKind::DriverLoadFailure);
    }
}
