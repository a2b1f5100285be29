//! A connection to publish on: its channels, and the routes that are rendered on them.
//!
//! Exchanges that come and go (fanouts, deleted with their last queue) have a channel of their own,
//! because publishing to one that is gone ends the channel (404) with everything unconfirmed on it.

use std::sync::Arc;

use leveret_engine::{ChannelOptions, Properties, RefusalSink};

use crate::broker::lease::{ChannelLease, ConnectionLease, health_of, metrics_of};
use crate::broker::open_once::OpenOnce;
use crate::broker::publish::anchored_exchanges::AnchoredExchanges;
use crate::broker::publish::declarations::Declarations;
use crate::broker::publish::prerequisite::Prerequisite;
use crate::broker::publish::route::{AutoDeleteRoute, PublishOptions, Route};
use crate::codec::compressor::Compressor;
use crate::error::Error;
use crate::observe::health::ConnectionHealth;
use crate::observe::metrics::ConnectionMetrics;
use crate::runtime::timer::Timer;
use crate::topology::{Address, Subscription};

/// A connection to publish on, perhaps shared with other purposes.
pub(crate) struct PublishConnection {
    lease: ConnectionLease,
    permanent: ChannelLease,
    declarations: Arc<Declarations>,
    /// For exchanges that may disappear.
    transient: OpenOnce<ChannelLease>,
    anchored: AnchoredExchanges,
    compressor: Option<Compressor>,
}

impl PublishConnection {
    /// Opens its channels. With a `compressor` it compresses every body before sending it.
    pub(crate) async fn open(
        lease: ConnectionLease,
        compressor: Option<Compressor>,
        timer: &Arc<Timer>,
    ) -> Result<Arc<Self>, Error> {
        let permanent = lease.open_channel(ChannelOptions::default()).await?;
        let plain = ChannelOptions::default().with_confirms(false);
        let declaring = lease.open_channel(plain).await?;
        let declarations = Arc::new(Declarations::new(lease.clone(), declaring, timer));
        let anchored = AnchoredExchanges::new(lease.clone(), &declarations);
        let transient = OpenOnce::default();
        Ok(Arc::new(Self { lease, permanent, declarations, transient, anchored, compressor }))
    }

    /// The route to `address`, its exchange declared. `refusals` hears of refused messages whose
    /// senders do not wait; without it they are counted.
    pub(crate) async fn route(
        &self,
        address: &Address,
        properties: &Properties,
        options: PublishOptions,
        refusals: Option<Arc<dyn RefusalSink>>,
    ) -> Result<Route, Error> {
        let Some(exchange) = &address.exchange else {
            return self.queue_route(&address.routing_key, properties, options, refusals);
        };
        let needed = Prerequisite::Exchange(exchange.clone());
        self.declared_route(needed, &address.routing_key, properties, options, refusals).await
    }

    /// The route into the queue of a subscription, which is declared with its binding.
    pub(crate) async fn subscription_route(
        &self,
        subscription: Subscription,
        properties: &Properties,
        options: PublishOptions,
    ) -> Result<Route, Error> {
        let Some((_, routing_key)) = &subscription.binding else {
            return self.queue_route(&subscription.queue.name, properties, options, None);
        };
        let routing_key = routing_key.clone();
        let needed = Prerequisite::Queue(Box::new(subscription));
        self.declared_route(needed, &routing_key, properties, options, None).await
    }

    async fn declared_route(
        &self,
        needed: Prerequisite,
        routing_key: &str,
        properties: &Properties,
        options: PublishOptions,
        refusals: Option<Arc<dyn RefusalSink>>,
    ) -> Result<Route, Error> {
        self.declarations.declare(&needed).await?;
        let exchange = needed.exchange();
        let transient = match exchange.auto_delete {
            true => Some(self.lease.channel_in(&self.transient, ChannelOptions::default()).await?),
            false => None,
        };
        let channel = transient.as_deref().unwrap_or(&self.permanent);
        let auto_delete = (exchange.auto_delete || needed.has_queue()).then(|| {
            let declarations = Arc::clone(&self.declarations);
            Arc::new(AutoDeleteRoute { declarations, prerequisite: needed.clone() })
        });
        let refusals = refusals.or_else(|| auto_delete.clone().map(|sink| sink as _));
        let names = (exchange.name.as_str(), routing_key);
        let compressor = self.compressor;
        let route = Route::compressing(compressor, channel, names, properties, options, refusals)?;
        Ok(route.with_auto_delete(auto_delete))
    }

    /// The route to a queue by its name, through the default exchange.
    pub(crate) fn queue_route(
        &self,
        queue: &str,
        properties: &Properties,
        options: PublishOptions,
        refusals: Option<Arc<dyn RefusalSink>>,
    ) -> Result<Route, Error> {
        let (compressor, channel, names) = (self.compressor, &self.permanent, ("", queue));
        Route::compressing(compressor, channel, names, properties, options, refusals)
    }

    /// Exchanges that would go with their last binding.
    pub(crate) const fn anchored(&self) -> &AnchoredExchanges {
        &self.anchored
    }

    /// Whether it publishes nothing any more: its connection has closed for good, or its channels.
    pub(crate) fn is_closed(&self) -> bool {
        self.lease.is_closed() || self.permanent.is_closed() || self.declarations.is_closed()
    }

    /// What compresses the bodies that are sent here.
    pub(crate) const fn compressor(&self) -> Option<&Compressor> {
        self.compressor.as_ref()
    }

    /// Flushes and ends the connection, unless it is shared: then it is flushed when it ends.
    pub(crate) async fn close(&self) -> Result<(), Error> {
        self.lease.close_own().await.map(drop)
    }

    /// Messages that were refused and whose senders did not wait.
    pub(crate) fn unwatched_failures(&self) -> u64 {
        self.lease.connection().fire_and_forget_failures() + self.declarations.refused()
    }

    /// Messages that may have been lost with the connection and whose senders did not wait.
    pub(crate) fn unwatched_losses(&self) -> u64 {
        self.lease.connection().fire_and_forget_losses()
    }

    /// The state of the connection.
    pub(crate) fn health(&self) -> ConnectionHealth {
        health_of(&self.lease)
    }

    /// What the connection has done, and what these channels hold.
    pub(crate) fn metrics(&self) -> ConnectionMetrics {
        let (transient, anchored) = (self.transient.get(), self.anchored.channel());
        let opened = [transient.as_deref(), anchored.as_deref()].into_iter().flatten();
        let channels = std::iter::once(&self.permanent).chain(opened).map(|channel| &**channel);
        metrics_of(&self.lease, channels.chain([self.declarations.channel()]))
    }

    /// How often the connection was lost.
    pub(crate) fn reconnects(&self) -> u64 {
        self.lease.connection().reconnects()
    }
}
