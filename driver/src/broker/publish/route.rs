//! Publishes to one exchange and routing key, with fixed properties.
//!
//! If what a route needs may be deleted (an auto-delete exchange, or a queue with its binding), the
//! route declares it again when it is missing, and publishes a message whose sender waits again. A
//! route with a compressor compresses every body.

use std::sync::Arc;
use std::time::{Duration, Instant};

use leveret_engine::{
    AMQPValue, Channel, Confirm, FailureSink, Outcome, Properties, PublishError, Publisher,
    ReportingPublisher, Route as EngineRoute,
};

use crate::broker::errors::{check_outcome, from_engine, from_outcome};
use crate::broker::publish::body::Body;
use crate::broker::publish::declarations::Declarations;
use crate::broker::publish::prerequisite::Prerequisite;
use crate::codec::compressor::Compressor;
use crate::error::{self, Error, ErrorKind};
use crate::runtime::timer;

/// A route to one exchange and routing key, rendered once, with fixed properties.
pub(crate) struct Route {
    publisher: Publisher,
    fire_and_forget: FireAndForget,
    redeclaration: Option<Arc<Redeclaration>>,
    compressor: Option<Compressor>,
    once: bool,
}

/// The publisher of messages whose senders do not wait for the outcome.
enum FireAndForget {
    /// The connection counts refusals.
    Counted(Publisher),
    /// A sink gets failures.
    Reported(ReportingPublisher),
}

/// The prerequisite of a route that may be deleted, and what declares it again.
pub(super) struct Redeclaration {
    pub(super) declarations: Arc<Declarations>,
    pub(super) prerequisite: Prerequisite,
}

/// How the messages of a route are published.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PublishOptions {
    /// RabbitMQ returns them if no queue is bound.
    pub(crate) mandatory: bool,
    /// They are sent again after a reconnect, until they are confirmed.
    pub(crate) retain: bool,
    /// They are never sent again once the broker may have them, whatever happens.
    pub(crate) once: bool,
    /// No sender waits for their confirms, which may come late.
    pub(crate) together: bool,
}

impl Route {
    /// Renders a route on `channel`. `refusals` gets refused messages whose senders do not wait;
    /// without it the connection counts them.
    pub(super) fn new(
        channel: &Channel,
        (exchange, routing_key): (&str, &str),
        properties: &Properties,
        PublishOptions { mandatory, retain, once, .. }: PublishOptions,
        refusals: Option<Arc<dyn FailureSink>>,
    ) -> Result<Self, Error> {
        let (exchange, routing_key) = (exchange.to_owned(), routing_key.to_owned());
        let route = EngineRoute { exchange, routing_key, mandatory };
        let publisher = channel.publisher(route, properties).map_err(from_engine)?;
        let publisher = if retain { publisher.retained() } else { publisher };
        let fire_and_forget = match refusals {
            Some(sink) => FireAndForget::Reported(publisher.with_failure_sink(sink)),
            None => FireAndForget::Counted(publisher.fire_and_forget()),
        };
        Ok(Self { publisher, fire_and_forget, redeclaration: None, compressor: None, once })
    }

    /// [`new`](Self::new), which compresses every body if there is a `compressor`.
    pub(super) fn compressing(
        compressor: Option<Compressor>,
        channel: &Channel,
        names: (&str, &str),
        properties: &Properties,
        options: PublishOptions,
        refusals: Option<Arc<dyn FailureSink>>,
    ) -> Result<Self, Error> {
        let Some(one) = compressor else {
            return Self::new(channel, names, properties, options, refusals);
        };
        let route = Self::new(channel, names, &labelled(properties, one), options, refusals)?;
        Ok(Self { compressor, ..route })
    }

    /// The route with a prerequisite that is declared again when it is missing.
    pub(super) fn with_redeclaration(self, redeclaration: Option<Arc<Redeclaration>>) -> Self {
        Self { redeclaration, ..self }
    }

    /// Whether the connection or the channel is closed for good.
    pub(crate) fn is_closed(&self) -> bool {
        self.publisher.is_closed()
    }

    /// Publishes and waits for the outcome.
    pub(crate) async fn publish_confirmed(
        &self,
        timeout: Duration,
        body: &Body,
    ) -> Result<(), Error> {
        let compressed = self.compressed(body);
        let body = compressed.as_ref().unwrap_or(body);
        // Most routes have no such prerequisite, and need not read the clock.
        let deadline = self.redeclaration.as_ref().map(|_| timer::deadline_in(timeout));
        let outcome = self.send(timeout, body).await?.await;
        if outcome.is_ok() {
            return Ok(());
        }
        let missing = self.redeclaration.as_deref();
        let missing = missing.filter(|one| one.prerequisite.was_missing(&outcome));
        match missing.zip(deadline) {
            Some((missing, deadline)) => {
                Box::pin(self.publish_again(missing, outcome, deadline, body)).await
            }
            None => Err(from_outcome(outcome)),
        }
    }

    /// Declares the prerequisite again, and publishes the message again.
    async fn publish_again(
        &self,
        Redeclaration { declarations, prerequisite }: &Redeclaration,
        outcome: Outcome,
        deadline: Instant,
        body: &Body,
    ) -> Result<(), Error> {
        declarations.forget(prerequisite);
        // A missing prerequisite routed the message to no queue. But a 404 closes the channel: it
        // may be for another message, or may have come after this one was routed.
        if self.once && matches!(outcome, Outcome::MaybeSent(_) | Outcome::Refused(..)) {
            return Err(from_outcome(outcome));
        }
        declarations.declare_until(prerequisite, deadline).await?;
        check_outcome(self.send(timer::until(deadline), body).await?.await)
    }

    /// Publishes without waiting, and returns the confirm to wait for. `None` where the outbox is
    /// full, or where the route compresses or may publish again.
    pub(crate) fn try_publish_confirmed(
        &self,
        timeout: Duration,
        body: &Body,
    ) -> Result<Option<Confirm>, Error> {
        if self.compressor.is_some() || self.redeclaration.is_some() {
            return Ok(None);
        }
        match self.publisher.try_publish(body.message(), timeout) {
            Ok(confirm) => Ok(Some(confirm)),
            Err(PublishError::Full) => Ok(None),
            Err(error) => Err(not_accepted(error)),
        }
    }

    /// Publishes for a sender that does not wait for the outcome; the sink of refusals gets
    /// `cookie` with a refusal. Waits while the outbox is full.
    pub(crate) async fn publish_and_forget(
        &self,
        timeout: Duration,
        body: &Body,
        cookie: u64,
    ) -> Result<(), Error> {
        if self.publish_and_forget_now(timeout, body, cookie)? {
            return Ok(());
        }
        Box::pin(self.publish_when_possible(timeout, body, cookie)).await
    }

    async fn publish_when_possible(
        &self,
        timeout: Duration,
        body: &Body,
        cookie: u64,
    ) -> Result<(), Error> {
        let compressed = self.compressed(body);
        let body = compressed.as_ref().unwrap_or(body);
        let mut timeout = timeout;
        if let Some(Redeclaration { declarations, prerequisite }) = self.undeclared() {
            let deadline = timer::deadline_in(timeout);
            declarations.declare_until(prerequisite, deadline).await?;
            timeout = timer::until(deadline);
        }
        let published = match &self.fire_and_forget {
            FireAndForget::Counted(publisher) => {
                publisher.publish(body.message(), timeout).await.map(drop)
            }
            FireAndForget::Reported(reporting) => {
                reporting.publish(body.message(), timeout, cookie).await
            }
        };
        published.map_err(not_accepted)
    }

    /// [`publish_and_forget`](Self::publish_and_forget) if that needs no waiting; false if it would
    /// wait: the outbox is full, the prerequisite must be declared first, or the route compresses
    /// (it would compress the body a second time).
    pub(crate) fn publish_and_forget_now(
        &self,
        timeout: Duration,
        body: &Body,
        cookie: u64,
    ) -> Result<bool, Error> {
        if self.compressor.is_some() || self.undeclared().is_some() {
            return Ok(false);
        }
        self.try_publish_and_forget(timeout, body, cookie)
    }

    /// Publishes without waiting or fails: for the shard, which must not wait. The outcome is
    /// discarded.
    pub(crate) fn try_publish(&self, timeout: Duration, body: &Body) -> Result<(), Error> {
        let compressed = self.compressed(body);
        let body = compressed.as_ref().unwrap_or(body);
        self.publisher.try_publish(body.message(), timeout).map(drop).map_err(not_accepted)
    }

    /// [`try_publish`](Self::try_publish); false where the outbox is full. The sink of refusals
    /// gets a refusal as with [`publish_and_forget`](Self::publish_and_forget).
    pub(crate) fn try_publish_and_forget(
        &self,
        timeout: Duration,
        body: &Body,
        cookie: u64,
    ) -> Result<bool, Error> {
        let compressed = self.compressed(body);
        let body = compressed.as_ref().unwrap_or(body);
        let offered = match &self.fire_and_forget {
            FireAndForget::Counted(publisher) => {
                publisher.try_publish(body.message(), timeout).map(drop)
            }
            FireAndForget::Reported(reporting) => {
                reporting.try_publish(body.message(), timeout, cookie)
            }
        };
        match offered {
            Ok(()) => Ok(true),
            Err(PublishError::Full) => Ok(false),
            Err(error) => Err(not_accepted(error)),
        }
    }

    async fn send(&self, timeout: Duration, body: &Body) -> Result<Confirm, Error> {
        // Only a full outbox needs the future that waits, and it is rarely full.
        let accepted = match self.publisher.try_publish(body.message(), timeout) {
            Err(PublishError::Full) => {
                Box::pin(self.publisher.publish(body.message(), timeout)).await
            }
            accepted => accepted,
        };
        accepted.map_err(not_accepted)
    }

    fn compressed(&self, body: &Body) -> Option<Body> {
        self.compressor.map(|compressor| body.compressed(compressor))
    }

    /// The prerequisite that has to be declared before a message is published.
    fn undeclared(&self) -> Option<&Redeclaration> {
        self.redeclaration.as_deref().filter(|one| !one.declarations.contains(&one.prerequisite))
    }
}

/// Counts refusals, and forgets a missing prerequisite: the next message declares it again.
impl FailureSink for Redeclaration {
    fn publish_failed(&self, _cookie: u64, outcome: Outcome) {
        self.declarations.count_refused();
        if self.prerequisite.was_missing(&outcome) {
            self.declarations.forget(&self.prerequisite);
        }
    }
}

/// The properties with the header that names the compression.
fn labelled(
    properties: &Properties,
    Compressor { header: (name, label), .. }: Compressor,
) -> Properties {
    let mut headers = properties.headers().cloned().unwrap_or_default();
    headers.insert(name.into(), AMQPValue::LongString(label.into()));
    properties.clone().with_headers(headers)
}

/// The error of a message that the connection did not accept.
fn not_accepted(error: PublishError) -> Error {
    let (kind, text) = match &error {
        PublishError::TimedOut => (
            ErrorKind::MessagingTimeout,
            "the broker took nothing before the deadline: it is away, blocked or too slow".into(),
        ),
        PublishError::Closed(cause) if cause.kind() == leveret_engine::ErrorKind::Stopped => {
            (ErrorKind::Closed, "the transport was closed".into())
        }
        other => (ErrorKind::MessageDeliveryFailure, other.to_string()),
    };
    Error::new(kind, text).with_outcome(error::Outcome::NotSent).with_cause(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::driver_config::Compression;
    use crate::dialect::kombu;

    #[test]
    fn a_compressed_body_has_the_header_that_kombu_writes() {
        // What py-amqp writes for the properties of a compressed cast, from the flags on.
        let mut captured = b"\xf8\x00\x10application/json\x05utf-8\x00\x00\x00#".to_vec();
        captured.extend_from_slice(b"\x0bcompressionS\x00\x00\x00\x12application/x-gzip\x02\x00");
        let properties = kombu::properties::message(None);
        let mut frame = Vec::new();
        let compressor = kombu::compression::compressor(Compression::Gzip);
        labelled(&properties, compressor).encode_frame(1, 0, &mut frame);
        // After the frame's header (7), class, weight and body size (12); before the end octet.
        assert_eq!(&frame[19..frame.len() - 1], captured);
    }
}
