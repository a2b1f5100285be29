//! The roads of a transport: where requests and notifications go, by their names in each dialect.
//!
//! Here topology meets the connections that publish. Not here: which road a message takes (`rpc`,
//! `notify`).

use std::sync::Arc;
use std::time::Duration;

use leveret_engine::RefusalSink;

use super::transport::Transport;
use crate::broker::publish::publisher::{PublishConnection, PublishOptions, Route};
use crate::error::Error;
use crate::message::form::WireFormat;
use crate::message::priority::Priority;
use crate::message::target::Target;
use crate::topology::{Address, Exchange};

/// What a road of requests is to be like.
pub(crate) struct RouteRequest<'a> {
    pub(crate) target: &'a Target,
    pub(crate) form: &'a WireFormat,
    /// Of calls: their timeout, and where replies are to go.
    pub(crate) call: Option<(Duration, &'a str)>,
    /// Requests are never sent again.
    pub(crate) once: bool,
    pub(crate) treatment: PublishOptions,
    /// Refusals are told to the book in the way that fits calls that may be repeated.
    pub(crate) may_repeat: bool,
    /// Nobody waits for what becomes of them.
    pub(crate) is_buffered: bool,
}

impl Transport {
    /// The road to a target under its name of the `rabbit` driver, its exchange declared.
    pub(crate) async fn kombu_road(&self, asked: &RouteRequest<'_>) -> Result<Route, Error> {
        let route = self.shared.topology.request(asked.target)?;
        let properties = asked.form.request_properties(asked.call);
        let refusals = self.refusals(asked);
        let publishing = self.lane_of(asked).await?;
        publishing.road(&route, &properties, asked.treatment, refusals).await
    }

    /// The road to a target under its `pika` name, its exchange declared unless it is there.
    pub(crate) async fn pika_road(&self, asked: &RouteRequest<'_>) -> Result<Route, Error> {
        let (route, exchange) = self.pika_route(asked)?;
        self.lane_of(asked).await?.keep(&exchange).await?;
        self.kept_road(asked, &route, &exchange).await
    }

    /// The same for an exchange that only servers declare: it is asked for before each request
    /// whether it [is there](Self::finds).
    pub(crate) async fn pika_road_if_there(
        &self,
        asked: &RouteRequest<'_>,
    ) -> Result<(Route, Exchange), Error> {
        let (route, exchange) = self.pika_route(asked)?;
        Ok((self.kept_road(asked, &route, &exchange).await?, exchange))
    }

    fn pika_route(&self, asked: &RouteRequest<'_>) -> Result<(Address, Exchange), Error> {
        let route = self.shared.pika.request(asked.target, asked.once)?;
        let exchange = route.exchange.clone().expect("requests of this dialect have an exchange");
        Ok((route, exchange))
    }

    async fn kept_road(
        &self,
        asked: &RouteRequest<'_>,
        route: &Address,
        exchange: &Exchange,
    ) -> Result<Route, Error> {
        let properties = asked.form.request_properties(asked.call);
        let names = (exchange.name.as_str(), route.routing_key.as_str());
        let treatment = PublishOptions { mandatory: !asked.target.is_fanout(), ..asked.treatment };
        let refusals = self.refusals(asked);
        self.lane_of(asked).await?.kept_road(names, &properties, treatment, refusals).await
    }

    /// What these requests are published on.
    async fn lane_of(&self, asked: &RouteRequest<'_>) -> Result<Arc<PublishConnection>, Error> {
        match &self.shared.casting {
            Some(casting) if asked.is_buffered => casting.lane(self.lane).await,
            _ => self.own_lane().await,
        }
    }

    /// What this sender publishes other requests on.
    async fn own_lane(&self) -> Result<Arc<PublishConnection>, Error> {
        self.shared.publishing.lane(self.lane).await
    }

    fn refusals(&self, asked: &RouteRequest<'_>) -> Option<Arc<dyn RefusalSink>> {
        asked.call.map(|_| self.shared.book.refusals(asked.may_repeat))
    }

    /// Whether the exchange of servers that speak `pika` is there, as far as that is known.
    pub(crate) fn has_found(&self, exchange: &Exchange) -> Option<bool> {
        self.shared.publishing.opened_lane(self.lane)?.has_found(exchange)
    }

    /// Looks whether it is.
    pub(crate) async fn finds(&self, exchange: &Exchange) -> Result<bool, Error> {
        self.own_lane().await?.finds(exchange).await
    }

    /// It turned out to be gone.
    pub(crate) fn lost(&self, exchange: &Exchange) {
        if let Some(publishing) = self.shared.publishing.opened_lane(self.lane) {
            publishing.lost(&exchange.name);
        }
    }

    /// The road of a topic's notifications of one priority, its queue declared.
    pub(crate) async fn notification_road(
        &self,
        target: &Target,
        priority: Priority,
        treatment: PublishOptions,
        form: &WireFormat,
    ) -> Result<Route, Error> {
        let is_pika = matches!(form, WireFormat::Pika(_));
        let stored = match is_pika {
            true => self.shared.pika.notifications(target, priority, None)?,
            false => self.shared.topology.notifications(target, priority, None)?,
        };
        let persistent = self.shared.config.pika.notification_persistence;
        let properties = form.notification_properties(persistent);
        let publishing = self.shared.notifying.lane(self.lane).await?;
        publishing.stored_road(stored, &properties, treatment).await
    }
}
