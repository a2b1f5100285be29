//! Describes a notifier, in code or by the options of a service.

use std::sync::Arc;
use std::time::Duration;

use crate::codec::serialization::Serialization;
use crate::config::options::notifications::NotificationConfig;
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
    /// Describes a notifier over `transport`. By default it sends in the envelope (`messagingv2`)
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
    /// Sets the publisher, by convention `service.host`. Default: empty.
    pub fn publisher_id(mut self, publisher_id: impl Into<String>) -> Self {
        self.options.publisher_id = publisher_id.into();
        self
    }

    /// Adds a driver. Default, if none is added: `messagingv2`.
    pub fn driver(mut self, driver: NotificationDriver) -> Self {
        self.options.drivers.push(driver);
        self
    }

    /// Adds a topic. Default, if none is added: `notifications`.
    pub fn topic(mut self, topic: impl Into<String>) -> Self {
        self.options.topics.push(topic.into());
        self
    }

    /// Sets what happens to notifications whose publication is interrupted. Default:
    /// [`Retry::UntilDeadline`]; in the `pika` dialect the transport's
    /// `default_notification_retry_attempts`.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.options.retry = Some(retry);
        self
    }

    /// Sets how notifications are serialised; in the `pika` dialect only. Default: the transport's
    /// `default_serializer_type`.
    pub fn serialization(mut self, serialization: Serialization) -> Self {
        self.options.serialization = Some(serialization);
        self
    }

    /// Passes payloads and contexts through `serializer`.
    pub fn serializer(mut self, serializer: impl Serializer) -> Self {
        self.options.serializer = Some(Arc::new(serializer));
        self
    }

    /// Replaces drivers, topics and retry by those of the options. Without a driver in the options
    /// nothing is sent, as in oslo.
    ///
    /// # Errors
    /// `DriverLoadFailure` for an unknown driver, `ConfigurationError` for a routing file that is
    /// missing or cannot be read.
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

    /// Sets how long a notification waits for the broker's confirm. Default: the transport's
    /// `response_timeout`. oslo waits forever.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = Some(timeout);
        self
    }

    /// Creates the notifier. It declares and sends nothing yet.
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
