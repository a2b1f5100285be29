//! Options of the `pika` dialect, under the names they had in oslo (`[oslo_messaging_pika]`).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use leveret_engine::{ConnectionConfig, Login};

use crate::codec::serialization::{BodySerializer, Serialization};
use crate::config::options::factory::ConnectionFactory;
use crate::config::options::tls::TlsOptions;

/// Options of the `pika` dialect.
///
/// ```
/// use leveret::{DriverConfig, Serialization};
///
/// let mut config = DriverConfig::default();
/// config.pika.serialization = Serialization::MsgPack;
/// assert_eq!(config.pika.rpc_prefetch, 100);
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PikaOptions {
    /// `default_serializer_type`: the serialisation of requests and notifications, unless the
    /// client or notifier overrides it; a reply has that of its request. Default JSON.
    pub serialization: Serialization,
    /// Further serialisations that are accepted; set in code only. Default none.
    pub serializers: Vec<Arc<dyn BodySerializer>>,
    /// `default_rpc_exchange`: the exchange of targets that name none. Default (empty):
    /// `<control_exchange>_rpc`.
    pub rpc_exchange: String,
    /// `rpc_reply_exchange`: the exchange of replies; servers and their clients must agree. Default
    /// (empty): `<control_exchange>_rpc_reply`.
    pub reply_exchange: String,
    /// `default_notification_exchange`: the exchange of notifications. Default (empty):
    /// `<control_exchange>_notification`.
    pub notification_exchange: String,
    /// `rpc_queue_expiration`: how long an unused queue of requests or replies exists; zero for
    /// ever. Default 60 s.
    pub queue_expiration: Duration,
    /// `rpc_listener_prefetch_count`: unacknowledged requests per queue of a server, 0 for no
    /// limit. Default 100. It also applies to the kombu queues of servers of both dialects.
    pub rpc_prefetch: u16,
    /// `notification_listener_prefetch_count`: unacknowledged notifications per listener, 0 for no
    /// limit. Default 100.
    pub notification_prefetch: u16,
    /// `notification_persistence`: notifications, their exchange and their queues survive the
    /// broker. Default false.
    pub notification_persistence: bool,
    /// `default_rpc_retry_attempts`: attempts after the first to publish a request, unless the
    /// client overrides it; `None` (oslo's -1) for attempts until the deadline. Default `None`.
    pub rpc_retry: Option<u32>,
    /// `rpc_retry_delay`: the wait between two attempts. Default 0.25 s.
    pub rpc_retry_delay: Duration,
    /// `default_notification_retry_attempts`: the same for notifications. Default `None`.
    pub notification_retry: Option<u32>,
    /// `notification_retry_delay`: the wait between two attempts. Default 0.25 s.
    pub notification_retry_delay: Duration,
    /// `rpc_reply_retry_attempts`: how often a reply to a missing queue is sent again; `None`
    /// (oslo's -1) for attempts until its request expires. Default `None`.
    pub reply_retry: Option<u32>,
    /// `rpc_reply_retry_delay`: the wait between two attempts. Default 0.25 s.
    pub reply_retry_delay: Duration,
    /// `heartbeat_interval`: the heartbeat to request, in whole seconds; zero for none. Default 3
    /// s. This option and those below apply to connections of `pika://` only.
    pub heartbeat: Duration,
    /// `socket_timeout`: the timeout of a TCP connect, per host. Default 0.25 s.
    pub socket_timeout: Duration,
    /// `tcp_user_timeout`: how long sent data may stay unacknowledged (`TCP_USER_TIMEOUT`); zero
    /// for the system's default. Default 0.25 s.
    pub tcp_user_timeout: Duration,
    /// `host_connection_reconnect_delay`: the upper bound of the first, random wait after all hosts
    /// have failed. Later waits are longer, up to `rabbit_interval_max`. Default 0.25 s.
    pub host_delay: Duration,
    /// `channel_max`: the largest channel number, at least 16. Default `None`: 2047.
    pub channel_max: Option<u16>,
    /// `frame_max`: the largest frame in bytes, 8192 to 131,072. Default `None`: 131,072.
    pub frame_max: Option<u32>,
    /// `ssl`: connections to `pika://` are encrypted, with the files below, or those of
    /// [`TlsOptions`](crate::TlsOptions) in place of each that is not named. Default false.
    pub ssl: bool,
    /// `ca_certs` in `ssl_options`: the certificates that are trusted. Default none.
    pub ssl_ca_certs: Option<PathBuf>,
    /// `certfile` in `ssl_options`: the certificate to show. Default none.
    pub ssl_certfile: Option<PathBuf>,
    /// `keyfile` in `ssl_options`: its key. Default none.
    pub ssl_keyfile: Option<PathBuf>,
    /// `connection_factory`: the factory if
    /// [`DriverConfig::connection_factory`](crate::DriverConfig::connection_factory) is `None`.
    /// Default `None`: `new` (oslo: `single`).
    pub connection_factory: Option<ConnectionFactory>,
}

impl Default for PikaOptions {
    fn default() -> Self {
        let delay = Duration::from_millis(250);
        Self {
            serialization: Serialization::Json,
            serializers: Vec::new(),
            rpc_exchange: String::new(),
            reply_exchange: String::new(),
            notification_exchange: String::new(),
            queue_expiration: Duration::from_secs(60),
            rpc_prefetch: 100,
            notification_prefetch: 100,
            notification_persistence: false,
            rpc_retry: None,
            rpc_retry_delay: delay,
            notification_retry: None,
            notification_retry_delay: delay,
            reply_retry: None,
            reply_retry_delay: delay,
            heartbeat: Duration::from_secs(3),
            socket_timeout: delay,
            tcp_user_timeout: delay,
            host_delay: delay,
            channel_max: None,
            frame_max: None,
            ssl: false,
            ssl_ca_certs: None,
            ssl_certfile: None,
            ssl_keyfile: None,
            connection_factory: None,
        }
    }
}

impl PikaOptions {
    /// The exchange that the option names, or oslo's name for it.
    fn exchange(name: &str, control_exchange: &str, purpose: &str) -> String {
        match name {
            "" => format!("{control_exchange}_{purpose}"),
            name => name.to_owned(),
        }
    }

    pub(crate) fn rpc_exchange(&self, control_exchange: &str) -> String {
        Self::exchange(&self.rpc_exchange, control_exchange, "rpc")
    }

    pub(crate) fn reply_exchange(&self, control_exchange: &str) -> String {
        Self::exchange(&self.reply_exchange, control_exchange, "rpc_reply")
    }

    pub(crate) fn notification_exchange(&self, control_exchange: &str) -> String {
        Self::exchange(&self.notification_exchange, control_exchange, "notification")
    }
}

impl PikaOptions {
    /// Sets the options of TLS for `pika://`, those of this group before others.
    pub(crate) fn apply_to_tls(&self, tls: &mut TlsOptions) {
        tls.enabled |= self.ssl;
        for (ours, other) in [
            (&self.ssl_ca_certs, &mut tls.ca_file),
            (&self.ssl_certfile, &mut tls.cert_file),
            (&self.ssl_keyfile, &mut tls.key_file),
        ] {
            if ours.is_some() {
                other.clone_from(ours);
            }
        }
    }

    /// Sets the options of a connection to `pika://`, overriding those of the `rabbit` group.
    /// oslo's `pika` driver had one SASL mechanism.
    pub(crate) fn apply_to(&self, config: &mut ConnectionConfig) {
        config.login = Login::Plain;
        config.heartbeat = self.heartbeat;
        config.connect_timeout = self.socket_timeout;
        config.tcp_user_timeout = self.tcp_user_timeout;
        config.recovery.backoff = self.host_delay;
        config.recovery.backoff_step = None;
        config.channel_max = self.channel_max.unwrap_or(config.channel_max);
        config.frame_max = self.frame_max.unwrap_or(config.frame_max);
    }
}

/// Custom serialisations are equal if their content types are.
impl PartialEq for PikaOptions {
    fn eq(&self, other: &Self) -> bool {
        let types = |all: &[Arc<dyn BodySerializer>]| {
            all.iter().map(|one| one.content_type().to_owned()).collect::<Vec<_>>()
        };
        types(&self.serializers) == types(&other.serializers)
            && self.serialization == other.serialization
            && self.texts() == other.texts()
            && self.numbers() == other.numbers()
            && (self.ssl, self.files()) == (other.ssl, other.files())
    }
}

impl PikaOptions {
    fn files(&self) -> [&Option<PathBuf>; 3] {
        [&self.ssl_ca_certs, &self.ssl_certfile, &self.ssl_keyfile]
    }

    fn texts(&self) -> [&str; 3] {
        [&self.rpc_exchange, &self.reply_exchange, &self.notification_exchange]
    }

    fn numbers(&self) -> impl PartialEq {
        (
            (self.queue_expiration, self.rpc_prefetch, self.notification_prefetch),
            (self.notification_persistence, self.rpc_retry, self.rpc_retry_delay),
            (self.notification_retry, self.notification_retry_delay),
            (self.reply_retry, self.reply_retry_delay),
            (self.heartbeat, self.socket_timeout, self.tcp_user_timeout, self.host_delay),
            (self.channel_max, self.frame_max, self.connection_factory),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_options_override_those_of_the_rabbit_group() {
        let mut config = ConnectionConfig::to("h", 1);
        let (channel_max, frame_max) = (config.channel_max, config.frame_max);
        config.login = Login::AmqPlain;
        config.recovery.backoff_step = Some(Duration::from_secs(9));
        let mut options = PikaOptions::default();
        options.apply_to(&mut config);
        assert_eq!((config.login, config.heartbeat.as_secs()), (Login::Plain, 3));
        let delay = Duration::from_millis(250);
        assert_eq!([config.connect_timeout, config.tcp_user_timeout], [delay; 2]);
        assert_eq!((config.recovery.backoff, config.recovery.backoff_step), (delay, None));
        assert_eq!((config.channel_max, config.frame_max), (channel_max, frame_max));
        (options.channel_max, options.frame_max) = (Some(16), Some(8192));
        options.apply_to(&mut config);
        assert_eq!((config.channel_max, config.frame_max), (16, 8192));
    }

    #[test]
    fn options_are_equal_if_all_fields_are() {
        let changes: [fn(&mut PikaOptions); 8] = [
            |options| options.serialization = Serialization::MsgPack,
            |options| options.rpc_exchange = "x".into(),
            |options| options.notification_prefetch = 1,
            |options| options.reply_retry = Some(1),
            |options| options.host_delay = Duration::ZERO,
            |options| options.channel_max = Some(16),
            |options| options.frame_max = Some(8192),
            |options| options.connection_factory = Some(ConnectionFactory::Single),
        ];
        let same = PikaOptions::default();
        assert_eq!(same, PikaOptions::default());
        for change in changes {
            let mut other = PikaOptions::default();
            change(&mut other);
            assert_ne!(same, other);
        }
    }
}
