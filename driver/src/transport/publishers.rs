//! The connections that a transport publishes requests and notifications on, and the routes that
//! are opened there.
//!
//! Not here: which routes a message takes (`rpc`, `notify`), what they are like (`dialect`).

use std::sync::Arc;

use leveret_engine::{FailureSink, Properties};

use crate::broker::publish::connection::PublishConnection;
use crate::broker::publish::pool::PublisherPool;
use crate::broker::publish::route::{PublishOptions, Route};
use crate::dialect::wire::{ExchangeUse, RouteSpec};
use crate::error::Error;
use crate::observe::health::ConnectionHealth;
use crate::topology::{Exchange, Subscription};

/// The pools of a transport.
pub(crate) struct PublisherPools {
    pub(super) requests: PublisherPool,
    /// Buffered casts, where each purpose has a connection of its own: a flood of them would delay
    /// the senders that wait for an answer.
    pub(super) buffered_casts: Option<PublisherPool>,
    /// Notifications leave on channels of their own, by default on a connection of their own, so
    /// that a flood of them delays no call.
    pub(super) notifications: PublisherPool,
}

/// The pools as one sender uses them: of several connections it keeps to one of each pool, so that
/// its messages stay in order.
#[derive(Clone)]
pub(crate) struct Publishers {
    pub(super) pools: Arc<PublisherPools>,
    pub(super) index: usize,
}

/// A route that requests are to be published on.
pub(crate) struct RouteRequest<'a> {
    pub(crate) spec: &'a RouteSpec,
    pub(crate) options: PublishOptions,
    /// Hears of refused requests whose senders do not wait.
    pub(crate) refusals: Option<Arc<dyn FailureSink>>,
    /// Their senders wait for no outcome.
    pub(crate) is_buffered: bool,
}

impl PublisherPools {
    /// All pools.
    pub(super) fn all(&self) -> impl Iterator<Item = &PublisherPool> {
        let casts = self.buffered_casts.iter();
        [&self.requests].into_iter().chain(casts).chain([&self.notifications])
    }

    /// The open connections that requests leave on.
    pub(super) fn of_requests(&self) -> impl Iterator<Item = Arc<PublishConnection>> {
        let casts = self.buffered_casts.iter().flat_map(PublisherPool::opened);
        self.requests.opened().chain(casts)
    }

    /// Flushes and ends the connections that no other purpose shares. Tells the first error.
    pub(super) async fn close(&self) -> Result<(), Error> {
        let mut outcome = Ok(());
        for pool in self.all() {
            outcome = outcome.and(pool.close().await);
        }
        outcome
    }
}

impl Publishers {
    /// Opens the route that a request describes, after what its exchange needs.
    pub(crate) async fn open(&self, request: RouteRequest<'_>) -> Result<Route, Error> {
        let RouteRequest { spec, options, refusals, is_buffered } = request;
        let connection = match &self.pools.buffered_casts {
            Some(pool) if is_buffered => pool.get(self.index).await?,
            _ => self.connection().await?,
        };
        let (address, properties) = (&spec.address, &spec.properties);
        if spec.exchange_use == ExchangeUse::Declare {
            return connection.route(address, properties, options, refusals).await;
        }
        let exchange = address.exchange.as_ref().expect("an anchored route has an exchange");
        if spec.exchange_use == ExchangeUse::Anchor {
            connection.anchored().anchor(exchange).await?;
        }
        let names = (exchange.name.as_str(), address.routing_key.as_str());
        connection.anchored().route(names, properties, options, refusals).await
    }

    /// Opens the route into a queue of notifications, which is declared.
    pub(crate) async fn open_notification_route(
        &self,
        queue: Subscription,
        properties: &Properties,
        options: PublishOptions,
    ) -> Result<Route, Error> {
        let connection = self.pools.notifications.get(self.index).await?;
        connection.subscription_route(queue, properties, options).await
    }

    /// Whether an exchange exists that only servers declare, if that is known.
    pub(crate) fn cached(&self, exchange: &Exchange) -> Option<bool> {
        self.pools.requests.get_open(self.index)?.anchored().cached(exchange)
    }

    /// Whether it exists, asked of the broker where it is not known.
    pub(crate) async fn probe(&self, exchange: &Exchange) -> Result<bool, Error> {
        self.connection().await?.anchored().probe(exchange).await
    }

    /// Forgets that it exists.
    pub(crate) fn invalidate(&self, exchange: &Exchange) {
        if let Some(connection) = self.pools.requests.get_open(self.index) {
            connection.anchored().invalidate(&exchange.name);
        }
    }

    /// The state of the connection that its requests leave on, if there is one.
    pub(crate) fn health(&self) -> Option<ConnectionHealth> {
        self.pools.requests.health_at(self.index)
    }

    async fn connection(&self) -> Result<Arc<PublishConnection>, Error> {
        self.pools.requests.get(self.index).await
    }
}
