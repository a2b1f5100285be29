//! Sends notifications.
//!
//! A notification goes through every driver, whatever the result of the others. Not here: what a
//! driver is (`driver`), how a notification is published (`messaging`).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arrayvec::ArrayString;
use leveret_engine::block_on;
use serde::Serialize;
use time::OffsetDateTime;

use crate::broker::open_once::OpenOnce;
use crate::broker::publish::route::Route;
use crate::codec::serialization::Serialization;
use crate::error::failure::Failure;
use crate::error::{Error, ErrorKind};
use crate::message::context::Context;
use crate::message::priority::Priority;
use crate::message::retry::Retry;
use crate::message::serializer::Serializer;
use crate::notify::notification::{Notification, timestamp, uuid};
use crate::notify::notifier::driver::NotificationDriver;
use crate::notify::notifier::{log, mask};
use crate::observe::spans;
use crate::transport::transport::Transport;

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
    pub(super) transport: Transport,
    pub(super) options: Arc<NotifierOptions>,
    pub(super) routes: Arc<TopicRoutes>,
}

#[derive(Clone)]
pub(super) struct NotifierOptions {
    pub(super) publisher_id: String,
    pub(super) drivers: Vec<NotificationDriver>,
    pub(super) topics: Vec<String>,
    pub(super) retry: Option<Retry>,
    pub(super) serialization: Option<Serialization>,
    pub(super) timeout: Option<Duration>,
    pub(super) serializer: Option<Arc<dyn Serializer>>,
}

/// The routes to the queues of each topic, in the order of the topics, each opened when first used.
pub(super) struct TopicRoutes(pub(super) Vec<[OpenOnce<Route>; Priority::ALL.len()]>);

impl TopicRoutes {
    pub(super) fn new(options: &NotifierOptions) -> Arc<Self> {
        Arc::new(Self(options.topics.iter().map(|_| Default::default()).collect()))
    }
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
    /// Sets the publisher, as oslo's `prepare`.
    #[must_use]
    pub fn with_publisher_id(mut self, publisher_id: impl Into<String>) -> Self {
        Arc::make_mut(&mut self.options).publisher_id = publisher_id.into();
        self
    }

    /// Sets what happens to notifications whose publication is interrupted, as oslo's `prepare`.
    #[must_use]
    pub fn with_retry(mut self, retry: Retry) -> Self {
        Arc::make_mut(&mut self.options).retry = Some(retry);
        // Routes are rendered for one retry.
        self.routes = TopicRoutes::new(&self.options);
        self
    }

    /// Sets how notifications are serialised; in the `pika` dialect only. Default: the transport's
    /// `default_serializer_type`.
    #[must_use]
    pub fn with_serialization(mut self, serialization: Serialization) -> Self {
        Arc::make_mut(&mut self.options).serialization = Some(serialization);
        self.routes = TopicRoutes::new(&self.options);
        self
    }

    /// Whether some driver does anything with a notification: false if `noop` is the only one.
    pub fn is_enabled(&self) -> bool {
        !self.options.drivers.iter().all(|driver| matches!(driver, NotificationDriver::Noop))
    }

    /// Sends a notification to every topic through every driver; returns when the broker has
    /// confirmed all of them.
    ///
    /// Entries of the context that look secret are left out, as by oslo: any listener may read
    /// them. Dropping the future stops waiting; a notification in the outbox may still be sent.
    ///
    /// # Errors
    /// `MessageDeliveryFailure` or `MessagingTimeout` when the broker refused it or was not there,
    /// `InvalidTarget` for a topic AMQP cannot carry, `ClientSendError` for a payload that is no
    /// JSON; the first of several. Each is logged as well, so a caller may ignore the result, as
    /// oslo's callers must.
    pub async fn notify(
        &self,
        priority: Priority,
        context: impl AsRef<Context>,
        event_type: &str,
        payload: &(impl Serialize + Sync + ?Sized),
    ) -> Result<(), Error> {
        if !self.is_enabled() {
            return Ok(());
        }
        let context = mask::redacted(context.as_ref());
        let span = spans::notify(event_type, priority, &context);
        let notifying = || self.notify_redacted(priority, &context, event_type, payload);
        let is_wanted = !span.is_disabled();
        let result = spans::instrument!(is_wanted.then_some(&span), notifying());
        spans::record_result(&span, &result);
        result
    }

    async fn notify_redacted(
        &self,
        priority: Priority,
        context: &Context,
        event_type: &str,
        payload: &(impl Serialize + Sync + ?Sized),
    ) -> Result<(), Error> {
        let Some(serializer) = &self.options.serializer else {
            return self.send_by_all(priority, context, event_type, payload).await;
        };
        let (context, payload) =
            serialized(serializer.as_ref(), context, payload).inspect_err(|error| {
                tracing::error!(
                    name: "leveret.notification.not_sent",
                    %error, event_type, "a notification is not sent"
                );
            })?;
        self.send_by_all(priority, &context, event_type, &payload).await
    }

    /// Sends a notification through every driver.
    async fn send_by_all<P: Serialize + Sync + ?Sized>(
        &self,
        priority: Priority,
        context: &Context,
        event_type: &str,
        payload: &P,
    ) -> Result<(), Error> {
        let draft = Draft {
            priority,
            event_type,
            payload,
            context,
            message_id: uuid(self.transport.ids().unique_id()),
            timestamp: timestamp(OffsetDateTime::now_utc()),
        };
        let mut result = Ok(());
        for driver in &self.options.drivers {
            if let NotificationDriver::Routing(routing) = driver {
                for driver in routing.select(event_type, priority) {
                    result = result.and(self.send_by(driver, &draft).await);
                }
            } else {
                result = result.and(self.send_by(driver, &draft).await);
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

    /// Sends a notification through one driver.
    async fn send_by<P: Serialize + Sync + ?Sized>(
        &self,
        driver: &NotificationDriver,
        draft: &Draft<'_, P>,
    ) -> Result<(), Error> {
        let sent = match driver {
            NotificationDriver::Messaging => self.publish(draft, false).await,
            NotificationDriver::MessagingV2 => self.publish(draft, true).await,
            local => self.send_locally(local, draft),
        };
        sent.inspect_err(|error| {
            let event_type = draft.event_type;
            tracing::error!(
                name: "leveret.notification.not_sent",
                %error, event_type, ?driver, "a notification could not be sent"
            );
        })
    }

    /// Hands a notification to a driver of this process.
    fn send_locally<P: Serialize + ?Sized>(
        &self,
        driver: &NotificationDriver,
        draft: &Draft<'_, P>,
    ) -> Result<(), Error> {
        let is_idle = match driver {
            NotificationDriver::Log => !log::is_wanted(draft.priority),
            other => !other.is_local(),
        };
        if is_idle {
            return Ok(());
        }
        let notification = Notification {
            publisher_id: self.options.publisher_id.clone(),
            event_type: draft.event_type.to_owned(),
            priority: draft.priority,
            payload: serde_json::to_value(draft.payload).map_err(unwritable)?,
            context: draft.context.clone(),
            message_id: draft.message_id.to_string(),
            timestamp: draft.timestamp.to_string(),
        };
        match driver {
            NotificationDriver::Log => log::write(&notification),
            NotificationDriver::Test(sent) => sent.push(notification),
            NotificationDriver::Custom(custom) => custom.notify(&notification),
            _ => {}
        }
        Ok(())
    }
}

/// A notification before it is encoded.
pub(super) struct Draft<'a, P: ?Sized> {
    pub(super) priority: Priority,
    pub(super) event_type: &'a str,
    pub(super) payload: &'a P,
    pub(super) context: &'a Context,
    pub(super) message_id: ArrayString<36>,
    pub(super) timestamp: ArrayString<26>,
}

/// Context and payload, passed through the serializer.
fn serialized<P: Serialize + ?Sized>(
    serializer: &dyn Serializer,
    context: &Context,
    payload: &P,
) -> Result<(Context, serde_json::Value), Error> {
    let refused = |failure: Failure| {
        let text = format!("the serializer refuses the notification: {failure}");
        Error::new(ErrorKind::ClientSendError, text).unsent()
    };
    let payload = serde_json::to_value(payload).map_err(unwritable)?;
    let payload = serializer.serialize_entity(context, payload).map_err(refused)?;
    Ok((serializer.serialize_context(context).map_err(refused)?, payload))
}

pub(super) fn unwritable(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    let text = format!("the payload cannot be written: {error}");
    Error::new(ErrorKind::ClientSendError, text).with_cause(error).unsent()
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
