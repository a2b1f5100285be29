//! Sends notifications: what happened, to whom it may concern.
//!
//! A notification is published with confirms to the queue of its topic and priority, which is
//! declared first, so that it is kept though nobody listens yet. All drivers and all topics are
//! tried whatever the others came to. Not here: what a driver is (`driver`).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use leveret_engine::block_on;
use serde::Serialize;
use time::OffsetDateTime;
use tokio::sync::OnceCell;

use super::driver::NotificationDriver;
use super::notification::{Notification, timestamp, uuid};
use super::{log, mask};
use crate::broker::{Body, Road, Treatment};
use crate::context::Context;
use crate::dialect::kombu;
use crate::error::{Error, ErrorKind};
use crate::message::notification::OutgoingNotification;
use crate::message::priority::Priority;
use crate::target::Target;
use crate::timer;
use crate::transport::Transport;

/// Sends notifications on behalf of a publisher. Cheap to clone.
///
/// ```
/// use leveret::{Notifier, Transport};
///
/// # fn main() -> Result<(), leveret::Error> {
/// let transport = Transport::connect_blocking("fake://")?;
/// let notifier = Notifier::builder(&transport).publisher_id("compute.host1").build();
/// notifier.info_blocking((), "instance.create.end", &serde_json::json!({"id": 7}))?;
/// transport.close_blocking()
/// # }
/// ```
#[derive(Clone)]
pub struct Notifier {
    transport: Transport,
    options: Arc<Options>,
    roads: Arc<Roads>,
}

#[derive(Clone)]
struct Options {
    publisher_id: String,
    drivers: Vec<NotificationDriver>,
    topics: Vec<String>,
    retain: bool,
    timeout: Option<Duration>,
}

/// The roads to the queues of each topic, in the topics' order, each opened when first used.
struct Roads(Vec<[OnceCell<Road>; Priority::ALL.len()]>);

/// Describes a notifier.
#[must_use = "a notifier is made by `build`"]
pub struct NotifierBuilder {
    transport: Transport,
    options: Options,
}

/// Two methods for each priority, named as in oslo.
macro_rules! priorities {
    ($($name:ident $blocking:ident $priority:ident)*) => {$(
        #[doc = concat!("[`notify`](Self::notify) with [`Priority::", stringify!($priority), "`].")]
        ///
        /// # Errors
        /// As [`notify`](Self::notify).
        pub async fn $name(
            &self,
            context: impl AsRef<Context>,
            event_type: &str,
            payload: &(impl Serialize + Sync + ?Sized),
        ) -> Result<(), Error> {
            self.notify(Priority::$priority, context, event_type, payload).await
        }

        #[doc = concat!("[`", stringify!($name), "`](Self::", stringify!($name), ") for a thread.")]
        ///
        /// # Errors
        /// As [`notify`](Self::notify).
        pub fn $blocking(
            &self,
            context: impl AsRef<Context>,
            event_type: &str,
            payload: &(impl Serialize + Sync + ?Sized),
        ) -> Result<(), Error> {
            block_on(self.notify(Priority::$priority, context, event_type, payload))
        }
    )*};
}

impl Notifier {
    /// A notifier over `transport`; unless told otherwise it sends in the envelope (`messagingv2`)
    /// to topic `notifications`.
    pub fn builder(transport: &Transport) -> NotifierBuilder {
        let options = Options {
            publisher_id: String::new(),
            drivers: Vec::new(),
            topics: Vec::new(),
            retain: true,
            timeout: None,
        };
        NotifierBuilder { transport: transport.clone(), options }
    }

    /// The same notifier for another publisher, as oslo's `prepare`.
    #[must_use]
    pub fn with_publisher_id(mut self, publisher_id: impl Into<String>) -> Self {
        Arc::make_mut(&mut self.options).publisher_id = publisher_id.into();
        self
    }

    /// Whether anything is ever done with a notification: false if `noop` is the only driver.
    pub fn is_enabled(&self) -> bool {
        !matches!(self.options.drivers[..], [NotificationDriver::Noop])
    }

    /// Sends a notification to every topic through every driver; returns when the broker has
    /// confirmed all of them.
    ///
    /// Of the context goes what does not look secret: oslo sends a redacted copy too, since
    /// everybody may listen. Dropping the future gives up waiting; what was handed over may still
    /// be sent.
    ///
    /// # Errors
    /// `MessageDeliveryFailure` or `MessagingTimeout` when the broker refused it or was not there,
    /// `InvalidTarget` for a topic AMQP cannot carry, `ClientSendError` for a payload that is no
    /// JSON; the first of several. Each is logged as well, so a caller may ignore the result, as
    /// oslo makes every caller do.
    pub async fn notify(
        &self,
        priority: Priority,
        context: impl AsRef<Context>,
        event_type: &str,
        payload: &(impl Serialize + Sync + ?Sized),
    ) -> Result<(), Error> {
        let context = mask::redacted(context.as_ref());
        let draft = Draft {
            priority,
            event_type,
            payload,
            context: &context,
            message_id: uuid(self.transport.ids().unique_id()),
            timestamp: timestamp(OffsetDateTime::now_utc()),
        };
        let mut result = Ok(());
        for driver in &self.options.drivers {
            if let NotificationDriver::Routing(routing) = driver {
                for driver in routing.select(event_type, priority) {
                    result = result.and(self.give(driver, &draft).await);
                }
            } else {
                result = result.and(self.give(driver, &draft).await);
            }
        }
        result
    }

    /// [`notify`](Self::notify) for a plain thread, which is parked meanwhile.
    ///
    /// # Errors
    /// As [`notify`](Self::notify).
    pub fn notify_blocking(
        &self,
        priority: Priority,
        context: impl AsRef<Context>,
        event_type: &str,
        payload: &(impl Serialize + Sync + ?Sized),
    ) -> Result<(), Error> {
        block_on(self.notify(priority, context, event_type, payload))
    }

    priorities! {
        audit audit_blocking Audit
        debug debug_blocking Debug
        info info_blocking Info
        warn warn_blocking Warn
        error error_blocking Error
        critical critical_blocking Critical
        sample sample_blocking Sample
    }

    /// Gives a notification to one driver.
    async fn give<P: Serialize + Sync + ?Sized>(
        &self,
        driver: &NotificationDriver,
        draft: &Draft<'_, P>,
    ) -> Result<(), Error> {
        let given = match driver {
            NotificationDriver::Messaging => self.send(draft, false).await,
            NotificationDriver::MessagingV2 => self.send(draft, true).await,
            local => self.keep(local, draft),
        };
        given.inspect_err(|error| {
            let event_type = draft.event_type;
            tracing::error!(%error, event_type, ?driver, "a notification could not be sent");
        })
    }

    async fn send<P: Serialize + Sync + ?Sized>(
        &self,
        draft: &Draft<'_, P>,
        is_enveloped: bool,
    ) -> Result<(), Error> {
        let options = &self.options;
        let timeout = options.timeout.unwrap_or(self.transport.config().response_timeout);
        let deadline = timer::now() + timeout;
        let mut result = Ok(());
        for (topic, roads) in options.topics.iter().zip(&self.roads.0) {
            let notification = OutgoingNotification {
                message_id: &draft.message_id,
                publisher_id: &options.publisher_id,
                event_type: draft.event_type,
                priority: draft.priority,
                payload: draft.payload,
                timestamp: &draft.timestamp,
                unique_id: self.transport.ids().unique_id(),
                context: draft.context,
            };
            let body =
                Body::render(|out| kombu::encode_notification(out, &notification, is_enveloped))
                    .map_err(unwritable)?;
            let sent = match self.road(topic, roads, draft.priority).await {
                Ok(road) => road.publish_confirmed(timer::until(deadline), &body).await,
                Err(error) => Err(error),
            };
            result = result.and(sent);
        }
        result
    }

    async fn road<'a>(
        &self,
        topic: &str,
        roads: &'a [OnceCell<Road>; Priority::ALL.len()],
        priority: Priority,
    ) -> Result<&'a Road, Error> {
        let treatment = Treatment { mandatory: false, retain: self.options.retain };
        let target = Target::new(topic);
        let open = || self.transport.notification_road(&target, priority, treatment);
        roads[priority as usize].get_or_try_init(open).await
    }

    /// Hands a notification to a driver of this process.
    fn keep<P: Serialize + ?Sized>(
        &self,
        driver: &NotificationDriver,
        draft: &Draft<'_, P>,
    ) -> Result<(), Error> {
        if !driver.is_local() {
            return Ok(());
        }
        let notification = Notification {
            publisher_id: self.options.publisher_id.clone(),
            event_type: draft.event_type.to_owned(),
            priority: draft.priority,
            payload: serde_json::to_value(draft.payload).map_err(unwritable)?,
            context: draft.context.clone(),
            message_id: draft.message_id.clone(),
            timestamp: draft.timestamp.clone(),
        };
        match driver {
            NotificationDriver::Log => log::write(&notification),
            NotificationDriver::Test(kept) => kept.push(notification),
            NotificationDriver::Custom(custom) => custom.notify(&notification),
            _ => {}
        }
        Ok(())
    }
}

/// A notification as the caller and the clock gave it.
struct Draft<'a, P: ?Sized> {
    priority: Priority,
    event_type: &'a str,
    payload: &'a P,
    context: &'a Context,
    message_id: String,
    timestamp: String,
}

fn unwritable(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    let text = format!("the payload cannot be written: {error}");
    Error::new(ErrorKind::ClientSendError, text).with_cause(error)
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
        let roads = options.topics.iter().map(|_| Default::default()).collect();
        Notifier { transport, options: Arc::new(options), roads: Arc::new(Roads(roads)) }
    }
}

impl fmt::Debug for Notifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notifier")
            .field("publisher_id", &self.options.publisher_id)
            .field("drivers", &self.options.drivers)
            .field("topics", &self.options.topics)
            .finish_non_exhaustive()
    }
}
