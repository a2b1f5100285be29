//! A connection to publish on: its channels, and the routes on them.
//!
//! Auto-delete exchanges (fanouts, deleted with their last binding) have a channel of their own:
//! publishing to a missing exchange closes the channel (404), and the outcome of what is
//! unconfirmed there is unknown unless it is retained.

use std::sync::Arc;

use leveret_engine::{ChannelOptions, Confirms, FailureSink, Properties};

use crate::broker::lease::{ChannelLease, ConnectionLease};
use crate::broker::open_once::OpenOnce;
use crate::broker::publish::anchored_exchanges::AnchoredExchanges;
use crate::broker::publish::declarations::Declarations;
use crate::broker::publish::prerequisite::Prerequisite;
use crate::broker::publish::route::{PublishOptions, Redeclaration, Route};
use crate::codec::compressor::Compressor;
use crate::error::Error;
use crate::observe::health::ConnectionHealth;
use crate::observe::metrics::ConnectionMetrics;
use crate::runtime::timer::Timer;
use crate::topology::{Address, Subscription};

/// A connection to publish on, which other purposes may share.
pub(crate) struct PublishConnection {
    lease: ConnectionLease,
    permanent: ChannelLease,
    /// The channel for messages that are confirmed together, if some are.
    together: Option<ChannelLease>,
    declarations: Arc<Declarations>,
    /// The channel for auto-delete exchanges.
    transient: OpenOnce<ChannelLease>,
    anchored: AnchoredExchanges,
    compressor: Option<Compressor>,
}

impl PublishConnection {
    /// Opens the channels. With a `compressor`, the connection compresses every body.
    pub(crate) async fn open(
        lease: ConnectionLease,
        compressor: Option<Compressor>,
        confirms_together: bool,
        timer: &Arc<Timer>,
    ) -> Result<Arc<Self>, Error> {
        let permanent = lease.open_channel(ChannelOptions::default()).await?;
        let together = match confirms_together {
            true => {
                let options = ChannelOptions::default().with_confirms(Confirms::Together);
                Some(lease.open_channel(options).await?)
            }
            false => None,
        };
        let plain = ChannelOptions::default().with_confirms(false);
        let declaring = lease.open_channel(plain).await?;
        let declarations = Arc::new(Declarations::new(lease.clone(), declaring, timer));
        let anchored = AnchoredExchanges::new(lease.clone(), &declarations);
        let transient = OpenOnce::default();
        Ok(Arc::new(Self {
            lease,
            permanent,
            together,
            declarations,
            transient,
            anchored,
            compressor,
        }))
    }

    /// Returns the route to `address`, and declares its exchange. `refusals` gets refused messages
    /// whose senders do not wait; without it they are only counted.
    pub(crate) async fn route(
        &self,
        address: &Address,
        properties: &Properties,
        options: PublishOptions,
        refusals: Option<Arc<dyn FailureSink>>,
    ) -> Result<Route, Error> {
        let Some(exchange) = &address.exchange else {
            return self.queue_route(&address.routing_key, properties, options, refusals);
        };
        let prerequisite = Prerequisite::Exchange(exchange.clone());
        self.declared_route(prerequisite, &address.routing_key, properties, options, refusals).await
    }

    /// Returns the route to the queue of a subscription, and declares the queue and its binding.
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
        let prerequisite = Prerequisite::Queue(Box::new(subscription));
        self.declared_route(prerequisite, &routing_key, properties, options, None).await
    }

    async fn declared_route(
        &self,
        prerequisite: Prerequisite,
        routing_key: &str,
        properties: &Properties,
        options: PublishOptions,
        refusals: Option<Arc<dyn FailureSink>>,
    ) -> Result<Route, Error> {
        self.declarations.declare(&prerequisite).await?;
        let exchange = prerequisite.exchange();
        let transient = match exchange.auto_delete {
            true => Some(self.lease.channel_in(&self.transient, ChannelOptions::default()).await?),
            false => None,
        };
        let channel = transient.as_deref().unwrap_or_else(|| self.permanent_for(options));
        let redeclaration = (exchange.auto_delete || prerequisite.has_queue()).then(|| {
            let declarations = Arc::clone(&self.declarations);
            Arc::new(Redeclaration { declarations, prerequisite: prerequisite.clone() })
        });
        let refusals = refusals.or_else(|| redeclaration.clone().map(|sink| sink as _));
        let names = (exchange.name.as_str(), routing_key);
        let compressor = self.compressor;
        let route = Route::compressing(compressor, channel, names, properties, options, refusals)?;
        Ok(route.with_redeclaration(redeclaration))
    }

    /// Returns the route to a queue by its name, through the default exchange.
    pub(crate) fn queue_route(
        &self,
        queue: &str,
        properties: &Properties,
        options: PublishOptions,
        refusals: Option<Arc<dyn FailureSink>>,
    ) -> Result<Route, Error> {
        let (compressor, channel) = (self.compressor, self.permanent_for(options));
        let names = ("", queue);
        Route::compressing(compressor, channel, names, properties, options, refusals)
    }

    /// The channel for exchanges that stay.
    fn permanent_for(&self, options: PublishOptions) -> &ChannelLease {
        self.together.as_ref().filter(|_| options.together).unwrap_or(&self.permanent)
    }

    /// The auto-delete exchanges that are anchored.
    pub(crate) const fn anchored(&self) -> &AnchoredExchanges {
        &self.anchored
    }

    /// Whether its connection or one of its channels is closed for good.
    pub(crate) fn is_closed(&self) -> bool {
        self.lease.is_closed()
            || self.permanent.is_closed()
            || self.together.as_ref().is_some_and(|channel| channel.is_closed())
            || self.declarations.is_closed()
    }

    /// The compressor of the bodies that are published here.
    pub(crate) const fn compressor(&self) -> Option<&Compressor> {
        self.compressor.as_ref()
    }

    /// Flushes and closes the connection unless it is shared.
    pub(crate) async fn close(&self) -> Result<(), Error> {
        self.lease.close_own().await.map(drop)
    }

    /// The number of refused messages whose senders did not wait.
    pub(crate) fn fire_and_forget_failures(&self) -> u64 {
        self.lease.connection().fire_and_forget_failures() + self.declarations.refused()
    }

    /// The number of messages that a lost connection may have lost and whose senders did not wait.
    pub(crate) fn fire_and_forget_losses(&self) -> u64 {
        self.lease.connection().fire_and_forget_losses()
    }

    /// The state of the connection.
    pub(crate) fn health(&self) -> ConnectionHealth {
        self.lease.health()
    }

    /// The counters of the connection, and what its channels hold.
    pub(crate) fn metrics(&self) -> ConnectionMetrics {
        let (transient, anchored) = (self.transient.get(), self.anchored.channel());
        let opened = [transient.as_deref(), anchored.as_deref()].into_iter().flatten();
        let own = std::iter::once(&self.permanent).chain(&self.together);
        let channels = own.chain(opened).map(|channel| &**channel);
        self.lease.metrics(channels.chain([self.declarations.channel()]))
    }

    /// How often the connection was lost.
    pub(crate) fn reconnects(&self) -> u64 {
        self.lease.connection().reconnects()
    }
}
