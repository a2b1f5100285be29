//! Opens the destinations of calls, casts and buffered casts, each by the first request that needs
//! it.

use std::time::{Duration, Instant};

use crate::broker::open_once::{OpenOnce, Opened};
use crate::broker::publish::route::{PublishOptions, Route};
use crate::dialect::wire::{RequestAddress, RequestRoutes, RouteSpec};
use crate::error::Error;
use crate::message::retry::Retry;
use crate::rpc::client::client::RpcClient;
use crate::rpc::client::destination::{Destination, Destinations};
use crate::runtime::timer;
use crate::topology::Exchange;
use crate::transport::publishers::RouteRequest;

/// What destinations are opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RequestKind {
    Call,
    Cast,
    BufferedCast,
}

impl RpcClient {
    /// The destination of these requests, if it is open.
    pub(super) fn opened_destination(&self, kind: RequestKind) -> Option<Opened<'_, Destination>> {
        self.destination_cell(kind).get()
    }

    /// The destination of these requests, opened before `deadline`.
    pub(super) async fn destination(
        &self,
        kind: RequestKind,
        deadline: Instant,
    ) -> Result<Opened<'_, Destination>, Error> {
        if let Some(destination) = self.opened_destination(kind) {
            return Ok(destination);
        }
        // A destination owns its opening, which therefore must not own the destinations.
        let opener = || Self { destinations: Destinations::default().into(), ..self.clone() };
        let cell = self.destination_cell(kind);
        let open = || cell.get_or_open(|| opener().open(kind));
        self.transport.open_until(deadline, open).await.map_err(Error::unsent)
    }

    fn destination_cell(&self, kind: RequestKind) -> &OpenOnce<Destination> {
        match kind {
            RequestKind::Call => &self.destinations.calls,
            RequestKind::Cast => &self.destinations.casts,
            RequestKind::BufferedCast => &self.destinations.buffered_casts,
        }
    }

    /// Every mistake in a client's options shows here.
    async fn open(self, kind: RequestKind) -> Result<Destination, Error> {
        if kind != RequestKind::Call {
            self.check()?;
            return self.open_routes(None, kind == RequestKind::BufferedCast).await;
        }
        self.check_call()?;
        let reply_queue = self.transport.reply_queue();
        let name = reply_queue.open().await?;
        reply_queue.bind_exchanges_of(&self.options.target).await?;
        self.open_routes(Some((self.timeout(), &name)), false).await
    }

    /// Opens the routes to the target; those of calls have their timeout, and the queue of their
    /// replies.
    async fn open_routes(
        &self,
        call: Option<(Duration, &str)>,
        is_buffered: bool,
    ) -> Result<Destination, Error> {
        match self.request_routes(call)? {
            RequestRoutes::One(spec) => Ok(Destination::One {
                route: self.open_route(&spec, call.is_some(), is_buffered).await?,
                expires_per_attempt: spec.expires_per_attempt,
            }),
            RequestRoutes::FirstThenOther(specs) => {
                let (routes, exchange) = self.open_both(specs, call.is_some(), is_buffered).await?;
                Ok(Destination::FirstThenOther { routes, exchange })
            }
            RequestRoutes::Each(specs) => {
                let (routes, exchange) = self.open_both(specs, call.is_some(), is_buffered).await?;
                Ok(Destination::Each { routes, exchange })
            }
        }
    }

    fn request_routes(&self, call: Option<(Duration, &str)>) -> Result<RequestRoutes, Error> {
        let format = self.format();
        self.transport.wire().request_routes(&RequestAddress {
            target: &self.options.target,
            format: &format,
            call,
            is_sent_once: self.retry() == Retry::Never,
        })
    }

    /// Opens the routes to both addresses. Returns the exchange of the first with them.
    async fn open_both(
        &self,
        [first, other]: [RouteSpec; 2],
        is_call: bool,
        is_buffered: bool,
    ) -> Result<([Route; 2], Exchange), Error> {
        let routes = [
            self.open_route(&first, is_call, is_buffered).await?,
            self.open_route(&other, is_call, is_buffered).await?,
        ];
        let exchange = first.address.exchange.expect("the first address has an exchange");
        Ok((routes, exchange))
    }

    async fn open_route(
        &self,
        spec: &RouteSpec,
        is_call: bool,
        is_buffered: bool,
    ) -> Result<Route, Error> {
        let options = &self.options;
        let retry = self.retry();
        let is_told = options.at_least_once && !options.target.is_fanout();
        // Where there are two addresses, the client decides about refusals.
        let may_repeat = self.attempts().may_repeat() || self.transport.wire().has_two_addresses();
        let request = RouteRequest {
            spec,
            options: PublishOptions {
                mandatory: spec.is_mandatory || is_told,
                retain: retry.is_unbounded(),
                once: retry == Retry::Never,
                together: is_call,
            },
            refusals: is_call.then(|| self.transport.pending_calls().failure_sink(may_repeat)),
            is_buffered,
        };
        self.transport.publishers().open(request).await
    }

    /// The route of another attempt of a call, if the one of its destination names a time that is
    /// over: servers of the `pika` driver go by it.
    pub(super) async fn route_of_repeat(
        &self,
        destination: &Destination,
        deadline: Instant,
        reply_queue: &str,
    ) -> Result<Option<Route>, Error> {
        if !destination.expires_per_attempt() {
            return Ok(None);
        }
        match self.request_routes(Some((timer::until(deadline), reply_queue)))? {
            RequestRoutes::One(spec) => self.open_route(&spec, true, false).await.map(Some),
            RequestRoutes::FirstThenOther(_) | RequestRoutes::Each(_) => Ok(None),
        }
    }
}
