//! Options of a transport, under their oslo names and with oslo's defaults where it has them.
//!
//! Set in code with `with_*`, in files and the environment through [`Config`], or in the query of
//! the URL, which wins. `options` is the registry of names, `value` reads and writes what they
//! take, `layers` gathers and `resolve` decides. Every option listed does something; a key that is
//! not listed is an error that names the nearest one that is.

use std::time::Duration;

use crate::error::{Error, ErrorKind};
use crate::url::TransportUrl;

mod connection;
mod ini;
mod layers;
mod meaning;
mod notifications;
mod options;
mod resolve;
mod settings;
mod source;
mod substitute;
mod toml;
mod value;

pub use connection::ConnectionOptions;
pub use layers::Config;
pub use notifications::NotificationConfig;
pub use resolve::{Ignored, Setting};
use settings::Settings;
pub use source::Source;

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
    /// `heartbeat_timeout_threshold`: the heartbeat asked for, in whole seconds; zero for none. A
    /// broker silent for twice as long counts as dead. Default 10 s (oslo: 60 s).
    pub heartbeat: Duration,
    /// `rabbit_login_method`. Default AMQPLAIN.
    pub login_method: LoginMethod,
    /// `rabbit_retry_interval`: first wait between attempts to connect. Default 0.1 s (oslo: 1 s).
    pub retry_interval: Duration,
    /// `rabbit_interval_max`: longest wait between attempts to connect. Default 2 s, where oslo has
    /// 30 s: waits are drawn at random here, so short ones do no harm to a broker that comes back.
    pub retry_interval_max: Duration,
    /// `rabbit_qos_prefetch_count`: most unacknowledged requests a server holds, 0 for no limit.
    /// Default 0.
    pub prefetch: u16,
    /// `kombu_missing_consumer_retry_timeout`: how long a reply is tried on a queue that is
    /// missing. Default 60 s.
    pub missing_queue_timeout: Duration,
    /// What exchanges and queues are declared like.
    pub entities: EntityOptions,
    /// Memory and patience of each connection.
    pub connection: ConnectionOptions,
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
    /// `rabbit_transient_queues_ttl`: life of an unused reply or fanout queue, zero for ever.
    /// Default 30 minutes.
    pub transient_ttl: Duration,
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
            heartbeat: Duration::from_secs(10),
            login_method: LoginMethod::AmqPlain,
            retry_interval: Duration::from_millis(100),
            retry_interval_max: Duration::from_secs(2),
            prefetch: 0,
            missing_queue_timeout: Duration::from_secs(60),
            entities: EntityOptions::default(),
            connection: ConnectionOptions::default(),
        }
    }
}

impl Default for EntityOptions {
    fn default() -> Self {
        Self {
            durable: false,
            auto_delete: false,
            quorum: false,
            quorum_delivery_limit: 0,
            quorum_max_memory_length: 0,
            quorum_max_memory_bytes: 0,
            transient_quorum: false,
            transient_ttl: Duration::from_secs(1800),
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

    /// These options overridden by the query of `url`.
    pub(crate) fn overridden_by(self, url: &TransportUrl) -> Result<Self, Error> {
        let mut settings = Settings { driver: self, ..Settings::default() };
        for (key, value) in url.query() {
            resolve::apply(&mut settings, key, value)?;
        }
        Ok(settings.driver)
    }
}

/// Which driver a URL asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DriverName {
    /// The kombu dialect on a RabbitMQ.
    Kombu,
    /// The kombu dialect on the loopback broker of this process.
    Loopback,
}

impl DriverName {
    /// The driver of `url`'s scheme.
    pub(crate) fn of(url: &TransportUrl) -> Result<Self, Error> {
        match url.transport() {
            "rabbit" | "kombu" => Ok(Self::Kombu),
            "fake" => Ok(Self::Loopback),
            secure @ ("rabbits" | "amqps" | "kombus") => Err(tls_unsupported(secure)),
            other => Err(Error::new(
                ErrorKind::DriverLoadFailure,
                format!(
                    "Failed to load transport driver \"{other}\": known drivers are rabbit, kombu \
                     and fake"
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
            ("ssl=true", ErrorKind::Unsupported, "TLS, asked for by `ssl`"),
        ] {
            let error = with_query(query).unwrap_err();
            assert_eq!(error.kind(), kind, "{query}");
            assert!(error.to_string().contains(text), "{error}");
        }
    }

    #[test]
    fn schemes_name_drivers() {
        let driver = |text: &str| DriverName::of(&text.parse::<TransportUrl>().unwrap());
        assert_eq!(driver("rabbit://").unwrap(), DriverName::Kombu);
        assert_eq!(driver("kombu://h").unwrap(), DriverName::Kombu);
        assert_eq!(driver("fake://").unwrap(), DriverName::Loopback);
        assert_eq!(driver("amqps://h").unwrap_err().kind(), ErrorKind::Unsupported);
        assert_eq!(driver("zmq://h").unwrap_err().kind(), ErrorKind::DriverLoadFailure);
    }
}
