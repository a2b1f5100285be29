//! Publishes notifications: the drivers `messaging` and `messagingv2`.
//!
//! A notification is published with confirms to the queue of its topic and priority, which is
//! declared first, so that RabbitMQ keeps it while no listener consumes. All topics are tried,
//! whatever the result of the others.

use std::time::Instant;

use serde::Serialize;

use crate::broker::open_once::{OpenOnce, Opened};
use crate::broker::publish::body::Body;
use crate::broker::publish::route::{PublishOptions, Route};
use crate::dialect::format::WireFormat;
use crate::error::Error;
use crate::message::notification::OutgoingNotification;
use crate::message::priority::Priority;
use crate::message::retry::Retry;
use crate::message::target::Target;
use crate::notify::notifier::notifier::{Draft, Notifier, unwritable};
use crate::runtime::timer;
use crate::transport::retry_counter::RetryCounter;

impl Notifier {
    /// Publishes a notification to every topic.
    pub(super) async fn publish<P: Serialize + Sync + ?Sized>(
        &self,
        draft: &Draft<'_, P>,
        is_enveloped: bool,
    ) -> Result<(), Error> {
        let options = &self.options;
        let timeout = options.timeout.unwrap_or(self.transport.config().response_timeout);
        let deadline = timer::deadline_in(timeout);
        let wire = self.transport.wire();
        wire.check_serialization(options.serialization.as_ref())?;
        let format = wire.format(options.serialization.as_ref());
        let mut result = Ok(());
        for (topic, routes) in options.topics.iter().zip(&self.routes.0) {
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
                Body::render(|out| format.encode_notification(out, &notification, is_enveloped))
                    .map_err(unwritable)?
                    .with_ids(format.message_ids(unique_id, None));
            let cell = &routes[draft.priority as usize];
            let sent = match self.route(cell, topic, (draft.priority, &format), deadline).await {
                Ok(route) => self.publish_along(&route, &body, deadline).await,
                Err(error) => Err(error.unsent()),
            };
            if sent.is_err() {
                cell.forget_if(Route::is_closed);
            }
            self.transport.counters().count_notification(&sent);
            result = result.and(sent);
        }
        result
    }

    /// Publishes, and again as often as is allowed.
    async fn publish_along(
        &self,
        route: &Route,
        body: &Body,
        deadline: Instant,
    ) -> Result<(), Error> {
        let delay = self.transport.wire().notification_retry().unroutable_delay;
        let mut attempts = RetryCounter::first(self.retry()).with_unroutable_delay(delay);
        loop {
            let pause = match route.publish_confirmed(timer::until(deadline), body).await {
                Ok(()) => return Ok(()),
                Err(error) if timer::until(deadline).is_zero() => return Err(error),
                Err(error) => attempts.next_pause(error)?,
            };
            self.transport.counters().count_retry();
            if !pause.is_zero() {
                // Where the engine has stopped, publishing says so.
                let _ = self.transport.timer().sleep(pause.min(timer::until(deadline))).await;
            }
        }
    }

    /// The route to the queue of a topic and a priority, opened before `deadline`.
    async fn route<'a>(
        &self,
        cell: &'a OpenOnce<Route>,
        topic: &str,
        (priority, format): (Priority, &WireFormat),
        deadline: Instant,
    ) -> Result<Opened<'a, Route>, Error> {
        if let Some(route) = cell.get() {
            return Ok(route);
        }
        let retry = self.retry();
        let (retain, once) = (retry.is_unbounded(), retry == Retry::Never);
        // RabbitMQ confirms and drops a message that no queue takes, unless it is mandatory.
        let options = PublishOptions { mandatory: true, retain, once, together: false };
        let target = Target::new(topic);
        let open = || {
            let queue = self.transport.wire().notification_queue(&target, priority, format);
            let publishers = self.transport.publishers().clone();
            async move {
                let (queue, properties) = queue?;
                publishers.open_notification_route(queue, &properties, options).await
            }
        };
        self.transport.open_until(deadline, || cell.get_or_open(open)).await
    }

    fn retry(&self) -> Retry {
        let default = || self.transport.wire().notification_retry().default;
        self.options.retry.unwrap_or_else(default)
    }
}
