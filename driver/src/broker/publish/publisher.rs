//! Publishing on a connection: exchanges declared once, routes rendered once.
//!
//! Exchanges that come and go (fanouts, deleted with their last queue) have a channel of their own,
//! because publishing to one that is gone ends the channel (404) with everything unconfirmed on it.
//! A mandatory message that no queue takes comes back. If it was meant for a queue that this
//! connection declares, the queue and its binding are declared again, and it is published again.
//! Where bodies are packed (compressed), every one is, on its way through here.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use leveret_engine::{
    AMQPValue, Channel, ChannelOptions, Confirm, Outcome, Properties, PublishError, Publisher,
    RefusalSink, Reporting, Route as EngineRoute,
};

use crate::broker::declare;
use crate::broker::errors::{confirmed, failed, refused};
use crate::broker::lease::{ChannelLease, ConnectionLease};
use crate::broker::lease::{health_of, metrics_of};
use crate::broker::open::opened;
use crate::broker::open_once::OpenOnce;
use crate::broker::publish::anchored_exchanges::Kept;
use crate::broker::publish::body::Body;
use crate::broker::publish::prerequisite::{Declared, Prerequisite};
use crate::error::{self, Error, ErrorKind};
use crate::observe::health::ConnectionHealth;
use crate::observe::metrics::ConnectionMetrics;
use crate::runtime::timer;
use crate::runtime::timer::Timer;
use crate::topology::{Address, Compressor, Subscription};

/// A connection to publish on, perhaps shared with others.
pub(crate) struct PublishConnection {
    lent: ConnectionLease,
    permanent: ChannelLease,
    declaring: ChannelLease,
    /// For exchanges that may vanish.
    transient: OpenOnce<ChannelLease>,
    kept: Kept,
    declared: Mutex<Declared>,
    refused: AtomicU64,
    packing: Option<Compressor>,
    timer: Arc<Timer>,
}

/// A rendered way to one exchange and routing key, with fixed properties.
pub(crate) struct Route {
    publisher: Publisher,
    unwatched: FireAndForget,
    vanishing: Option<Arc<AutoDeleteRoute>>,
    packing: Option<Compressor>,
    once: bool,
}

/// Who hears of refused messages that nobody waits for.
enum FireAndForget {
    /// The connection's counter.
    Counted(Publisher),
    Reported(Reporting),
}

/// What is declared again when it has gone.
struct AutoDeleteRoute {
    publishing: Arc<PublishConnection>,
    needed: Prerequisite,
}

/// How messages of a road are to be treated.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PublishOptions {
    /// Come back if no queue is bound.
    pub(crate) mandatory: bool,
    /// Sent again after a reconnect until confirmed.
    pub(crate) retain: bool,
    /// Never sent again once the broker may have it, whatever happens.
    pub(crate) once: bool,
}

impl PublishConnection {
    /// Opens its channels. With `packing` every body is packed before it is sent.
    pub(crate) async fn open(
        lent: ConnectionLease,
        packing: Option<Compressor>,
        timer: &Arc<Timer>,
    ) -> Result<Arc<Self>, Error> {
        let permanent = lent.open_channel(ChannelOptions::default()).await?;
        let plain = ChannelOptions::default().with_confirms(false);
        let declaring = lent.open_channel(plain).await?;
        Ok(Arc::new(Self {
            lent,
            permanent,
            declaring,
            transient: OpenOnce::default(),
            kept: Kept::default(),
            declared: Mutex::default(),
            refused: AtomicU64::new(0),
            packing,
            timer: Arc::clone(timer),
        }))
    }

    /// The road to `route`, its exchange declared. `refusals` hears of unwatched messages that were
    /// refused; without it they are counted.
    pub(crate) async fn road(
        self: &Arc<Self>,
        route: &Address,
        properties: &Properties,
        treatment: PublishOptions,
        refusals: Option<Arc<dyn RefusalSink>>,
    ) -> Result<Route, Error> {
        let Some(exchange) = &route.exchange else {
            return self.default_road(&route.routing_key, properties, treatment, refusals);
        };
        let needed = Prerequisite::Exchange(exchange.clone());
        self.declared_road(needed, &route.routing_key, properties, treatment, refusals).await
    }

    /// The road into the queue of a subscription, which is declared with its binding.
    pub(crate) async fn stored_road(
        self: &Arc<Self>,
        subscription: Subscription,
        properties: &Properties,
        treatment: PublishOptions,
    ) -> Result<Route, Error> {
        let Some((_, routing_key)) = &subscription.binding else {
            return self.default_road(&subscription.queue.name, properties, treatment, None);
        };
        let routing_key = routing_key.clone();
        let needed = Prerequisite::Queue(Box::new(subscription));
        self.declared_road(needed, &routing_key, properties, treatment, None).await
    }

    async fn declared_road(
        self: &Arc<Self>,
        needed: Prerequisite,
        routing_key: &str,
        properties: &Properties,
        treatment: PublishOptions,
        refusals: Option<Arc<dyn RefusalSink>>,
    ) -> Result<Route, Error> {
        self.declare(&needed).await?;
        let exchange = needed.exchange();
        let transient = match exchange.auto_delete {
            true => {
                let options = ChannelOptions::default();
                Some(self.lent.channel_in(&self.transient, options).await?)
            }
            false => None,
        };
        let channel = transient.as_deref().unwrap_or(&self.permanent);
        let vanishing = (exchange.auto_delete || needed.is_a_queue()).then(|| {
            Arc::new(AutoDeleteRoute { publishing: Arc::clone(self), needed: needed.clone() })
        });
        let refusals = refusals.or_else(|| vanishing.clone().map(|vanishing| vanishing as _));
        let names = (exchange.name.as_str(), routing_key);
        let road = self.render(channel, names, properties, treatment, refusals)?;
        Ok(Route { vanishing, ..road })
    }

    /// The road to a queue by its name, through the default exchange.
    pub(crate) fn default_road(
        &self,
        queue: &str,
        properties: &Properties,
        treatment: PublishOptions,
        refusals: Option<Arc<dyn RefusalSink>>,
    ) -> Result<Route, Error> {
        self.render(&self.permanent, ("", queue), properties, treatment, refusals)
    }

    pub(crate) const fn kept(&self) -> &Kept {
        &self.kept
    }

    pub(crate) fn declaring(&self) -> &Channel {
        &self.declaring
    }

    pub(crate) const fn lent(&self) -> &ConnectionLease {
        &self.lent
    }

    /// Whether it publishes nothing any more: its connection has ended for good, or its channels.
    pub(crate) fn is_gone(&self) -> bool {
        self.lent.is_gone() || self.permanent.is_closed() || self.declaring.is_closed()
    }

    /// How bodies leave here.
    pub(crate) fn packing(&self) -> Option<Compressor> {
        self.packing
    }

    fn render(
        &self,
        channel: &Channel,
        names: (&str, &str),
        properties: &Properties,
        treatment: PublishOptions,
        refusals: Option<Arc<dyn RefusalSink>>,
    ) -> Result<Route, Error> {
        let Some(packing) = self.packing else {
            return Route::new(channel, names, properties, treatment, refusals);
        };
        let properties = labelled(properties, packing);
        let road = Route::new(channel, names, &properties, treatment, refusals)?;
        Ok(Route { packing: self.packing, ..road })
    }

    async fn declare(&self, needed: &Prerequisite) -> Result<(), Error> {
        if self.declared().holds(needed) {
            return Ok(());
        }
        match needed {
            Prerequisite::Exchange(exchange) => {
                declare::exchange(&self.declaring, exchange).await?
            }
            Prerequisite::Queue(stored) => declare::subscription(&self.declaring, stored).await?,
        }
        self.declared().insert(needed);
        Ok(())
    }

    /// Declares unless that was done, within a deadline.
    async fn declare_until(&self, needed: &Prerequisite, deadline: Instant) -> Result<(), Error> {
        let declared =
            opened(&self.timer, deadline, || self.declare(needed), || self.lent.why_down()).await;
        declared.map_err(Error::unsent)
    }

    fn declared(&self) -> std::sync::MutexGuard<'_, Declared> {
        self.declared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Flushes and ends the connection, unless it is shared: then it is flushed when it ends.
    pub(crate) async fn close(&self) -> Result<(), Error> {
        self.lent.close_own().await.map(drop)
    }

    /// Messages that were refused and that nobody waited for.
    pub(crate) fn unwatched_failures(&self) -> u64 {
        self.lent.connection().unwatched_failures() + self.refused.load(Ordering::Relaxed)
    }

    /// Messages that nobody waited for and that may have been lost with the connection.
    pub(crate) fn unwatched_losses(&self) -> u64 {
        self.lent.connection().unwatched_losses()
    }

    /// Where the connection stands.
    pub(crate) fn health(&self) -> ConnectionHealth {
        health_of(&self.lent)
    }

    /// What the connection has done, and what these channels hold.
    pub(crate) fn metrics(&self) -> ConnectionMetrics {
        let (transient, kept) = (self.transient.get(), self.kept.channel());
        let opened = [transient.as_deref(), kept.as_deref()].into_iter().flatten();
        let channels = [&self.permanent, &self.declaring].into_iter().chain(opened);
        metrics_of(&self.lent, channels.map(|channel| &**channel))
    }

    /// How often the connection was lost.
    pub(crate) fn reconnects(&self) -> u64 {
        self.lent.connection().reconnects()
    }
}

impl Route {
    pub(crate) fn new(
        channel: &Channel,
        (exchange, routing_key): (&str, &str),
        properties: &Properties,
        PublishOptions { mandatory, retain, once }: PublishOptions,
        refusals: Option<Arc<dyn RefusalSink>>,
    ) -> Result<Self, Error> {
        let (exchange, routing_key) = (exchange.to_owned(), routing_key.to_owned());
        let route = EngineRoute { exchange, routing_key, mandatory };
        let publisher = channel.publisher(route, properties).map_err(failed)?;
        let publisher = if retain { publisher.retained() } else { publisher };
        let unwatched = match refusals {
            Some(sink) => FireAndForget::Reported(publisher.reporting(sink)),
            None => FireAndForget::Counted(publisher.unwatched()),
        };
        Ok(Self { publisher, unwatched, vanishing: None, packing: None, once })
    }

    fn packed(&self, body: &Body) -> Option<Body> {
        self.packing.map(|packing| body.packed(packing))
    }

    /// Whether nothing is published here any more, as the connection or the channel has ended for
    /// good.
    pub(crate) fn is_gone(&self) -> bool {
        self.publisher.is_closed()
    }

    /// What has to be declared before anything is published.
    fn undeclared(&self) -> Option<&AutoDeleteRoute> {
        let vanishing = self.vanishing.as_deref()?;
        let is_there = vanishing.publishing.declared().holds(&vanishing.needed);
        (!is_there).then_some(vanishing)
    }

    /// Publishes and waits for what becomes of it.
    pub(crate) async fn publish_confirmed(
        &self,
        timeout: Duration,
        body: &Body,
    ) -> Result<(), Error> {
        let packed = self.packed(body);
        let body = packed.as_ref().unwrap_or(body);
        // Most roads are here to stay, and need not know the time.
        let deadline = self.vanishing.as_ref().map(|_| timer::deadline_in(timeout));
        let outcome = self.send(timeout, body).await?.await;
        if outcome.is_ok() {
            return Ok(());
        }
        let vanished = self.vanishing.as_deref().filter(|one| one.needed.is_gone(&outcome));
        match vanished.zip(deadline) {
            Some((vanished, deadline)) => {
                Box::pin(self.publish_again(vanished, outcome, deadline, body)).await
            }
            None => Err(refused(outcome)),
        }
    }

    /// Publishes what found its exchange gone, or its queue, when that is there again.
    async fn publish_again(
        &self,
        AutoDeleteRoute { publishing, needed }: &AutoDeleteRoute,
        outcome: Outcome,
        deadline: Instant,
        body: &Body,
    ) -> Result<(), Error> {
        publishing.declared().remove(needed);
        // What is gone gave the message to nobody; but it ends the channel, and may have gone after
        // this message, or be another one's.
        if self.once && matches!(outcome, Outcome::MaybeSent(_) | Outcome::Refused(..)) {
            return Err(refused(outcome));
        }
        publishing.declare_until(needed, deadline).await?;
        confirmed(self.send(timer::until(deadline), body).await?.await)
    }

    /// [`Self::publish_confirmed`] up to the wait for the confirm; `None` where there is no room,
    /// or bodies are packed or may be published again from here.
    pub(crate) fn offer_confirmed(
        &self,
        timeout: Duration,
        body: &Body,
    ) -> Result<Option<Confirm>, Error> {
        if self.packing.is_some() || self.vanishing.is_some() {
            return Ok(None);
        }
        match self.publisher.try_publish(body.message(), timeout) {
            Ok(confirm) => Ok(Some(confirm)),
            Err(PublishError::Full) => Ok(None),
            Err(error) => Err(not_taken(error)),
        }
    }

    /// Publishes for a caller who does not wait for what becomes of it; a refusal is told with
    /// `cookie`. Waits while the outbox is full.
    pub(crate) async fn publish_unwatched(
        &self,
        timeout: Duration,
        body: &Body,
        cookie: u64,
    ) -> Result<(), Error> {
        if self.publish_at_once(timeout, body, cookie)? {
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
        let packed = self.packed(body);
        let body = packed.as_ref().unwrap_or(body);
        let mut timeout = timeout;
        if let Some(vanishing) = self.undeclared() {
            let deadline = timer::deadline_in(timeout);
            vanishing.publishing.declare_until(&vanishing.needed, deadline).await?;
            timeout = timer::until(deadline);
        }
        let published = match &self.unwatched {
            FireAndForget::Counted(publisher) => {
                publisher.publish(body.message(), timeout).await.map(drop)
            }
            FireAndForget::Reported(reporting) => {
                reporting.publish(body.message(), timeout, cookie).await
            }
        };
        published.map_err(not_taken)
    }

    /// [`Self::publish_unwatched`] if that needs no waiting; false if it does. Bodies that are
    /// packed take their time anyway, and would be packed again where there is no room.
    pub(crate) fn publish_at_once(
        &self,
        timeout: Duration,
        body: &Body,
        cookie: u64,
    ) -> Result<bool, Error> {
        if self.packing.is_some() || self.undeclared().is_some() {
            return Ok(false);
        }
        self.try_publish_unwatched(timeout, body, cookie)
    }

    /// Publishes at once or not at all: for the shard and the timer, which must not wait. Nobody
    /// hears what becomes of it.
    pub(crate) fn try_publish(&self, timeout: Duration, body: &Body) -> Result<(), Error> {
        let packed = self.packed(body);
        let body = packed.as_ref().unwrap_or(body);
        self.publisher.try_publish(body.message(), timeout).map(drop).map_err(not_taken)
    }

    /// [`Self::try_publish`]; false where there is no room. A refusal is told as by
    /// [`Self::publish_unwatched`].
    pub(crate) fn try_publish_unwatched(
        &self,
        timeout: Duration,
        body: &Body,
        cookie: u64,
    ) -> Result<bool, Error> {
        let packed = self.packed(body);
        let body = packed.as_ref().unwrap_or(body);
        let offered = match &self.unwatched {
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
            Err(error) => Err(not_taken(error)),
        }
    }

    async fn send(&self, timeout: Duration, body: &Body) -> Result<Confirm, Error> {
        // Nearly always there is room, and then nothing is needed to wait for it.
        let taken = match self.publisher.try_publish(body.message(), timeout) {
            Err(PublishError::Full) => {
                Box::pin(self.publisher.publish(body.message(), timeout)).await
            }
            taken => taken,
        };
        taken.map_err(not_taken)
    }
}

/// Counts, and forgets what is gone, so that the next message declares it again.
impl RefusalSink for AutoDeleteRoute {
    fn refused(&self, _cookie: u64, outcome: Outcome) {
        self.publishing.refused.fetch_add(1, Ordering::Relaxed);
        if self.needed.is_gone(&outcome) {
            self.publishing.declared().remove(&self.needed);
        }
    }
}

/// The same properties, saying how the body is packed.
fn labelled(
    properties: &Properties,
    Compressor { header: (name, label), .. }: Compressor,
) -> Properties {
    let mut headers = properties.headers().cloned().unwrap_or_default();
    headers.insert(name.into(), AMQPValue::LongString(label.into()));
    properties.clone().with_headers(headers)
}

fn not_taken(error: PublishError) -> Error {
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
    use crate::config::Compression;
    use crate::dialect::kombu;

    #[test]
    fn a_packed_body_is_labelled_as_by_kombu() {
        // What py-amqp writes for the properties of a compressed cast, from the flags on.
        let mut captured = b"\xf8\x00\x10application/json\x05utf-8\x00\x00\x00#".to_vec();
        captured.extend_from_slice(b"\x0bcompressionS\x00\x00\x00\x12application/x-gzip\x02\x00");
        let properties = kombu::properties(None);
        let mut frame = Vec::new();
        let packing = kombu::packing(Compression::Gzip);
        labelled(&properties, packing).encode_frame(1, 0, &mut frame);
        // After the frame's header (7), class, weight and body size (12); before the end octet.
        assert_eq!(&frame[19..frame.len() - 1], captured);
    }
}
