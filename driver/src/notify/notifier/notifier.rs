//! Sends notifications: what happened, to whom it may concern.
//!
//! A notification is published with confirms to the queue of its topic and priority, which is
//! declared first, so that it is kept though nobody listens yet. All drivers and all topics are
//! tried whatever the others came to. Not here: what a driver is (`driver`).

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use leveret_engine::block_on;
use serde::Serialize;
use time::OffsetDateTime;

use crate::broker::open_once::{OpenOnce, Opened};
use crate::broker::publish::body::Body;
use crate::broker::publish::publisher::{PublishOptions, Route};
use crate::codec::serialization::Serialization;
use crate::config::SendingDialect;
use crate::error::failure::Failure;
use crate::error::{Error, ErrorKind};
use crate::message::context::Context;
use crate::message::form::WireFormat;
use crate::message::notification::OutgoingNotification;
use crate::message::priority::Priority;
use crate::message::serializer::Serializer;
use crate::message::target::Target;
use crate::notify::notification::{Notification, timestamp, uuid};
use crate::notify::notifier::driver::NotificationDriver;
use crate::notify::notifier::{log, mask};
use crate::observe::spans;
use crate::retry::{Attempts, Retry};
use crate::runtime::timer;
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
    pub(super) options: Arc<Options>,
    pub(super) roads: Arc<Roads>,
}

#[derive(Clone)]
pub(super) struct Options {
    pub(super) publisher_id: String,
    pub(super) drivers: Vec<NotificationDriver>,
    pub(super) topics: Vec<String>,
    pub(super) retry: Option<Retry>,
    pub(super) serialization: Option<Serialization>,
    pub(super) timeout: Option<Duration>,
    pub(super) serializer: Option<Arc<dyn Serializer>>,
}

/// The roads to the queues of each topic, in the topics' order, each opened when first used.
pub(super) struct Roads(pub(super) Vec<[OpenOnce<Route>; Priority::ALL.len()]>);

impl Roads {
    pub(super) fn of(options: &Options) -> Arc<Self> {
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
    /// The same notifier for another publisher, as oslo's `prepare`.
    #[must_use]
    pub fn with_publisher_id(mut self, publisher_id: impl Into<String>) -> Self {
        Arc::make_mut(&mut self.options).publisher_id = publisher_id.into();
        self
    }

    /// The same notifier with this way to deal with interrupted publications, as oslo's `prepare`.
    #[must_use]
    pub fn with_retry(mut self, retry: Retry) -> Self {
        Arc::make_mut(&mut self.options).retry = Some(retry);
        // Roads are rendered for one way.
        self.roads = Roads::of(&self.options);
        self
    }

    /// The same notifier, its notifications serialised this way; the `pika` dialect only. Default:
    /// the transport's `default_serializer_type`.
    #[must_use]
    pub fn with_serialization(mut self, serialization: Serialization) -> Self {
        Arc::make_mut(&mut self.options).serialization = Some(serialization);
        self.roads = Roads::of(&self.options);
        self
    }

    /// The form of its notifications, of two in the dialect of the `rabbit` driver.
    fn form(&self) -> Result<WireFormat, Error> {
        let chosen = self.options.serialization.as_ref();
        self.transport.check_serialization(chosen).map(|()| self.transport.form(chosen))
    }

    fn retry(&self) -> Retry {
        let of_pika = self.transport.config().pika.notification_retry;
        Retry::of_sender(self.options.retry, self.transport.sending(), of_pika)
    }

    /// Whether anything is ever done with a notification: false if `noop` is the only driver.
    pub fn is_enabled(&self) -> bool {
        !self.options.drivers.iter().all(|driver| matches!(driver, NotificationDriver::Noop))
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
        if !self.is_enabled() {
            return Ok(());
        }
        let context = mask::redacted(context.as_ref());
        let span = spans::notify(event_type, priority, &context);
        let notifying = || self.notify_redacted(priority, &context, event_type, payload);
        let is_wanted = !span.is_disabled();
        let result = spans::within!(is_wanted.then_some(&span), notifying());
        spans::ended(&span, &result);
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
            return self.distribute(priority, context, event_type, payload).await;
        };
        let (context, payload) =
            serialized(serializer.as_ref(), context, payload).inspect_err(|error| {
                tracing::error!(
                    name: "leveret.notification.not_sent",
                    %error, event_type, "a notification is not sent"
                );
            })?;
        self.distribute(priority, &context, event_type, &payload).await
    }

    /// Gives a notification to every driver.
    async fn distribute<P: Serialize + Sync + ?Sized>(
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
            tracing::error!(
                name: "leveret.notification.not_sent",
                %error, event_type, ?driver, "a notification could not be sent"
            );
        })
    }

    /// Publishes, and again as often as is allowed.
    async fn publish(&self, road: &Route, body: &Body, deadline: Instant) -> Result<(), Error> {
        let waits = self.transport.sending() == SendingDialect::Pika;
        let delay = self.transport.config().pika.notification_retry_delay;
        let mut attempts =
            Attempts::first(self.retry()).waiting_for_a_route(waits.then_some(delay));
        loop {
            let pause = match road.publish_confirmed(timer::until(deadline), body).await {
                Ok(()) => return Ok(()),
                Err(error) if timer::until(deadline).is_zero() => return Err(error),
                Err(error) => attempts.again(error)?,
            };
            self.transport.counters().retry();
            if !pause.is_zero() {
                // Where the engine has stopped, publishing says so.
                let _ = self.transport.timer().pause(pause.min(timer::until(deadline))).await;
            }
        }
    }

    async fn send<P: Serialize + Sync + ?Sized>(
        &self,
        draft: &Draft<'_, P>,
        is_enveloped: bool,
    ) -> Result<(), Error> {
        let options = &self.options;
        let timeout = options.timeout.unwrap_or(self.transport.config().response_timeout);
        let deadline = timer::deadline_in(timeout);
        let form = self.form()?;
        let mut result = Ok(());
        for (topic, roads) in options.topics.iter().zip(&self.roads.0) {
            let unique_id = self.transport.ids().unique_id();
            let notification = OutgoingNotification {
                message_id: &draft.message_id,
                publisher_id: &options.publisher_id,
                event_type: draft.event_type,
                priority: draft.priority,
                payload: draft.payload,
                timestamp: &draft.timestamp,
                unique_id,
                context: draft.context,
            };
            let body =
                Body::render(|out| form.encode_notification(out, &notification, is_enveloped))
                    .map_err(unwritable)?
                    .with_ids(form.request_ids(unique_id, None));
            let sent = match self.road(topic, roads, (draft.priority, &form), deadline).await {
                Ok(road) => self.publish(&road, &body, deadline).await,
                Err(error) => Err(error.unsent()),
            };
            if sent.is_err() {
                roads[draft.priority as usize].forget_if(Route::is_gone);
            }
            self.transport.counters().notification(&sent);
            result = result.and(sent);
        }
        result
    }

    async fn road<'a>(
        &self,
        topic: &str,
        roads: &'a [OpenOnce<Route>; Priority::ALL.len()],
        (priority, form): (Priority, &WireFormat),
        deadline: Instant,
    ) -> Result<Opened<'a, Route>, Error> {
        let road = &roads[priority as usize];
        if let Some(road) = road.get() {
            return Ok(road);
        }
        let retry = self.retry();
        let (retain, once) = (retry.is_unbounded(), retry == Retry::Never);
        // RabbitMQ confirms and drops what it cannot route, unless it is mandatory.
        let treatment = PublishOptions { mandatory: true, retain, once };
        let declare = || {
            let (transport, form) = (self.transport.clone(), form.clone());
            let target = Target::new(topic);
            async move { transport.notification_road(&target, priority, treatment, &form).await }
        };
        let open = || road.get_or_open(declare);
        self.transport.opened(deadline, open).await
    }

    /// Hands a notification to a driver of this process.
    fn keep<P: Serialize + ?Sized>(
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

/// Context and payload as they travel.
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

fn unwritable(error: impl std::error::Error + Send + Sync + 'static) -> Error {
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
