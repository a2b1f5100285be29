//! Describes a notifier, in code or by the options of a service.

use std::sync::Arc;
use std::time::Duration;

use crate::codec::serialization::Serialization;
use crate::config::NotificationConfig;
use crate::error::{Error, ErrorKind};
use crate::message::retry::Retry;
use crate::message::serializer::Serializer;
use crate::notify::notifier::driver::{NotificationDriver, Routing};
use crate::notify::notifier::notifier::{Notifier, NotifierOptions, TopicRoutes};
use crate::transport::transport::Transport;

/// Describes a notifier.
#[must_use = "a notifier is made by `build`"]
pub struct NotifierBuilder {
    pub(super) transport: Transport,
    pub(super) options: NotifierOptions,
}

impl Notifier {
    /// A notifier over `transport`; unless told otherwise it sends in the envelope (`messagingv2`)
    /// to topic `notifications`.
    pub fn builder(transport: &Transport) -> NotifierBuilder {
        let options = NotifierOptions {
            publisher_id: String::new(),
            drivers: Vec::new(),
            topics: Vec::new(),
            retry: None,
            serialization: None,
            timeout: None,
            serializer: None,
        };
        NotifierBuilder { transport: transport.for_sender(), options }
    }
}

impl NotifierBuilder {
    /// The same notifier in the name of this publisher, by custom `service.host`. Default: empty.
    pub fn publisher_id(mut self, publisher_id: impl Into<String>) -> Self {
        self.options.publisher_id = publisher_id.into();
        self
    }

    /// The same notifier with one more driver. Default, if none is named: `messagingv2`.
    pub fn driver(mut self, driver: NotificationDriver) -> Self {
        self.options.drivers.push(driver);
        self
    }

    /// The same notifier sending to one more topic. Default, if none is named: `notifications`.
    pub fn topic(mut self, topic: impl Into<String>) -> Self {
        self.options.topics.push(topic.into());
        self
    }

    /// The same notifier with this way to deal with interrupted publications. Default:
    /// [`Retry::UntilDeadline`]; in the `pika` dialect the transport's
    /// `default_notification_retry_attempts`.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.options.retry = Some(retry);
        self
    }

    /// The same notifier, its notifications serialised this way; the `pika` dialect only. Default:
    /// the transport's `default_serializer_type`.
    pub fn serialization(mut self, serialization: Serialization) -> Self {
        self.options.serialization = Some(serialization);
        self
    }

    /// The same notifier, its payloads and contexts passing through `serializer`.
    pub fn serializer(mut self, serializer: impl Serializer) -> Self {
        self.options.serializer = Some(Arc::new(serializer));
        self
    }

    /// The same notifier with drivers, topics and retry as the options say, instead of those it
    /// had. Without any driver in the options nothing is sent, as in oslo.
    ///
    /// # Errors
    /// `DriverLoadFailure` for a driver nobody knows, `ConfigurationError` for a routing file that
    /// cannot be read or is missing.
    pub fn config(mut self, config: &NotificationConfig) -> Result<Self, Error> {
        let driver = |name: &String| match (name.as_str(), &config.routing_config) {
            ("routing", Some(path)) => Routing::from_file(path).map(NotificationDriver::Routing),
            ("routing", None) => Err(Error::new(
                ErrorKind::ConfigurationError,
                "the driver routing needs a file of rules: set routing_config",
            )),
            (name, _) => name.parse(),
        };
        let drivers = config.drivers.iter().map(driver);
        let drivers = drivers.collect::<Result<Vec<_>, Error>>()?;
        self.options.drivers =
            if drivers.is_empty() { vec![NotificationDriver::Noop] } else { drivers };
        self.options.topics.clone_from(&config.topics);
        self.options.retry = config.retry.map(|times| Retry::from(Some(i64::from(times))));
        Ok(self)
    }

    /// The same notifier, waiting this long for the broker's confirm. Default: the transport's
    /// `response_timeout`. oslo waits for ever.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = Some(timeout);
        self
    }

    /// The notifier. Nothing is declared or sent yet.
    pub fn build(self) -> Notifier {
        let Self { transport, mut options } = self;
        if options.drivers.is_empty() {
            options.drivers.push(NotificationDriver::MessagingV2);
        }
        if options.topics.is_empty() {
            options.topics.push("notifications".into());
        }
        let routes = TopicRoutes::new(&options);
        Notifier { transport, options: Arc::new(options), routes }
    }
}
