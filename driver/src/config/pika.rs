//! Options of the `pika` dialect, under the names they had in oslo (`[oslo_messaging_pika]`).

use std::sync::Arc;
use std::time::Duration;

use crate::serialization::{BodySerializer, Serialization};

/// How the `pika` dialect is spoken.
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
    /// `default_serializer_type`: how requests and notifications are serialised, unless client or
    /// notifier say otherwise; replies go as their requests came. Default JSON.
    pub serialization: Serialization,
    /// Further serialisations that are understood; set in code only. Default none.
    pub serializers: Vec<Arc<dyn BodySerializer>>,
    /// `default_rpc_exchange`: the exchange of targets that name none. Default (empty):
    /// `<control_exchange>_rpc`.
    pub rpc_exchange: String,
    /// `rpc_reply_exchange`: what replies go through; a server's must be its clients'. Default
    /// (empty): `<control_exchange>_rpc_reply`.
    pub reply_exchange: String,
    /// `default_notification_exchange`: the exchange of notifications. Default (empty):
    /// `<control_exchange>_notification`.
    pub notification_exchange: String,
    /// `rpc_queue_expiration`: life of an unused queue of requests or replies; zero for ever.
    /// Default 60 s.
    pub queue_expiration: Duration,
    /// `rpc_listener_prefetch_count`: most unacknowledged requests a server holds from each queue,
    /// 0 for no limit. Default 100. Servers of both dialects hold as many from each queue of
    /// either.
    pub rpc_prefetch: u16,
    /// `notification_listener_prefetch_count`: the same of a listener. Default 100.
    pub notification_prefetch: u16,
    /// `notification_persistence`: exchange and queues of notifications, and what is in them,
    /// survive the broker. Default false.
    pub notification_persistence: bool,
    /// `default_rpc_retry_attempts`: what happens to requests that cannot be published, where the
    /// client does not say: further attempts, zero for none, `None` (oslo's -1) until the deadline.
    /// Default `None`.
    pub rpc_retry: Option<u32>,
    /// `rpc_retry_delay`: between two attempts. Default 0.25 s.
    pub rpc_retry_delay: Duration,
    /// `default_notification_retry_attempts`: the same of notifications. Default `None`.
    pub notification_retry: Option<u32>,
    /// `notification_retry_delay`: between two attempts. Default 0.25 s.
    pub notification_retry_delay: Duration,
    /// `rpc_reply_retry_attempts`: how often a reply that finds no queue is sent again;
    /// `None` (oslo's -1) until its request expires. Default `None`.
    pub reply_retry: Option<u32>,
    /// `rpc_reply_retry_delay`: between two attempts. Default 0.25 s.
    pub reply_retry_delay: Duration,
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
        }
    }
}

impl PikaOptions {
    /// An exchange by the option's value, or as oslo names it.
    fn exchange(said: &str, control_exchange: &str, purpose: &str) -> String {
        match said {
            "" => format!("{control_exchange}_{purpose}"),
            said => said.to_owned(),
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

/// Serialisers are the same where messages say the same.
impl PartialEq for PikaOptions {
    fn eq(&self, other: &Self) -> bool {
        let types = |all: &[Arc<dyn BodySerializer>]| {
            all.iter().map(|one| one.content_type().to_owned()).collect::<Vec<_>>()
        };
        types(&self.serializers) == types(&other.serializers)
            && self.serialization == other.serialization
            && self.texts() == other.texts()
            && self.numbers() == other.numbers()
    }
}

impl PikaOptions {
    fn texts(&self) -> [&str; 3] {
        [&self.rpc_exchange, &self.reply_exchange, &self.notification_exchange]
    }

    fn numbers(&self) -> impl PartialEq {
        (
            (self.queue_expiration, self.rpc_prefetch, self.notification_prefetch),
            (self.notification_persistence, self.rpc_retry, self.rpc_retry_delay),
            (self.notification_retry, self.notification_retry_delay),
            (self.reply_retry, self.reply_retry_delay),
        )
    }
}
