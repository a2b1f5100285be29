//! The interface between the formats and the rest of the driver.
//!
//! There are two dialects, `kombu` and `pika`, and a format that both read. One of the three is
//! chosen for what is sent, one for what is served; every method matches on them. The methods here
//! are for clients and notifiers; `queues`, `incoming` and `replies` have the others.

use std::time::Duration;

use leveret_engine::Properties;

use crate::codec::compressor::Compressor;
use crate::codec::serialization::Serialization;
use crate::config::driver_config::{Compression, DriverConfig};
use crate::config::options::dialects::{SendingDialect, ServingDialect};
use crate::config::options::pika::PikaOptions;
use crate::dialect::format::WireFormat;
use crate::dialect::{kombu, pika};
use crate::error::{Error, ErrorKind};
use crate::message::priority::Priority;
use crate::message::retry::Retry;
use crate::message::target::Target;
use crate::topology::{Address, Exchange, Subscription};

/// The wire formats of one transport.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(super) sends: SendingDialect,
    pub(super) serves: ServingDialect,
    pub(super) kombu: kombu::topology::Topology,
    pub(super) pika: pika::topology::Topology,
    pub(super) options: PikaOptions,
    /// The exchange of replies in the `pika` format.
    pub(super) reply_exchange: Exchange,
    /// The prefetch of servers and listeners in the `kombu` format; 0 where none is configured.
    pub(super) prefetch: u16,
    /// Servers of a topic share one stream for its fanouts.
    pub(super) has_fanout_stream: bool,
    /// Fanout queues keep their names across restarts.
    pub(super) has_stable_names: bool,
    compression: Option<Compression>,
}

/// The address of requests.
pub(crate) struct RequestAddress<'a> {
    pub(crate) target: &'a Target,
    pub(crate) format: &'a WireFormat,
    /// For calls: their timeout, and the queue of their replies.
    pub(crate) call: Option<(Duration, &'a str)>,
    /// A request is published at most once.
    pub(crate) is_sent_once: bool,
}

/// The routes of requests to one target.
pub(crate) enum RequestRoutes {
    One(RouteSpec),
    /// To the first while a server listens there, otherwise to the second.
    FirstThenOther([RouteSpec; 2]),
    /// To both.
    Each([RouteSpec; 2]),
}

/// A route to open.
pub(crate) struct RouteSpec {
    pub(crate) address: Address,
    pub(crate) properties: Properties,
    pub(crate) exchange_use: ExchangeUse,
    /// RabbitMQ returns a message that it can route to no queue.
    pub(crate) is_mandatory: bool,
    /// The properties have the remaining time of the caller, so each attempt needs its own.
    pub(crate) expires_per_attempt: bool,
}

/// What a publisher does about the exchange of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExchangeUse {
    /// Declares it.
    Declare,
    /// Declares it and anchors it: RabbitMQ deletes it with its last binding.
    Anchor,
    /// Probes it: only servers declare it.
    Probe,
}

/// How a failed publication is retried unless its sender says otherwise.
pub(crate) struct PublishRetry {
    pub(crate) default: Retry,
    /// After how long a message that no queue is bound for is published again; `None`: never.
    pub(crate) unroutable_delay: Option<Duration>,
}

/// Whether servers send heartbeats to a caller that asks for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heartbeats {
    Always,
    /// Depends on the server that takes the request.
    Maybe,
    Never,
}

impl Wire {
    /// The formats that the options of a transport choose.
    pub(crate) fn new(config: &DriverConfig) -> Self {
        let pika =
            pika::topology::Topology::new(config.control_exchange.clone(), config.pika.clone());
        Self {
            sends: config.sending.unwrap_or_default(),
            serves: config.serving.unwrap_or_default(),
            kombu: kombu::topology::Topology::new(
                config.control_exchange.clone(),
                config.entities.clone(),
            ),
            reply_exchange: pika.reply_exchange(),
            pika,
            options: config.pika.clone(),
            prefetch: config.prefetch,
            has_fanout_stream: config.entities.stream_fanout,
            has_stable_names: config.stable_names.enabled,
            compression: config.compression,
        }
    }

    /// Returns the format of what is sent, in the `chosen` serialization where the format has a
    /// choice.
    pub(crate) fn format(&self, chosen: Option<&Serialization>) -> WireFormat {
        match self.sends {
            SendingDialect::Kombu => WireFormat::Kombu,
            SendingDialect::Auto => WireFormat::Both,
            SendingDialect::Pika => {
                WireFormat::Pika(chosen.unwrap_or(&self.options.serialization).clone())
            }
        }
    }

    /// Refuses a choice of serialization where the format has none.
    ///
    /// # Errors
    /// `Unsupported`.
    pub(crate) fn check_serialization(&self, chosen: Option<&Serialization>) -> Result<(), Error> {
        let is_json = chosen.is_none_or(|one| *one == Serialization::Json);
        if is_json || self.sends == SendingDialect::Pika {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Unsupported,
            "only the pika dialect has a choice of serialisations; what receivers of the rabbit \
             driver are to read is JSON",
        ))
    }

    /// Returns the routes of requests.
    ///
    /// Of two addresses, the one of `pika` is the first: its queues are deleted with their servers,
    /// so a request that can be routed there reaches a server. Queues of the `rabbit` driver stay,
    /// and would keep requests that no server takes.
    ///
    /// # Errors
    /// `InvalidTarget`.
    pub(crate) fn request_routes(
        &self,
        request: &RequestAddress<'_>,
    ) -> Result<RequestRoutes, Error> {
        match self.sends {
            SendingDialect::Kombu => Ok(RequestRoutes::One(self.kombu_route(request)?)),
            SendingDialect::Pika => {
                let expires_per_attempt = request.call.is_some();
                let route = self.pika_route(request, ExchangeUse::Anchor)?;
                Ok(RequestRoutes::One(RouteSpec { expires_per_attempt, ..route }))
            }
            SendingDialect::Auto => {
                let first = self.pika_route(request, ExchangeUse::Probe)?;
                let other = self.kombu_route(request)?;
                let is_fanout = request.target.is_fanout();
                let routes = [first, RouteSpec { is_mandatory: !is_fanout, ..other }];
                Ok(match is_fanout {
                    true => RequestRoutes::Each(routes),
                    false => RequestRoutes::FirstThenOther(routes),
                })
            }
        }
    }

    fn kombu_route(&self, request: &RequestAddress<'_>) -> Result<RouteSpec, Error> {
        Ok(RouteSpec {
            address: self.kombu.request(request.target)?,
            properties: request.format.request_properties(request.call),
            exchange_use: ExchangeUse::Declare,
            is_mandatory: false,
            expires_per_attempt: false,
        })
    }

    fn pika_route(
        &self,
        request: &RequestAddress<'_>,
        exchange_use: ExchangeUse,
    ) -> Result<RouteSpec, Error> {
        Ok(RouteSpec {
            address: self.pika.request(request.target, request.is_sent_once)?,
            properties: request.format.request_properties(request.call),
            exchange_use,
            is_mandatory: !request.target.is_fanout(),
            expires_per_attempt: false,
        })
    }

    /// Whether requests have a second address.
    pub(crate) fn has_two_addresses(&self) -> bool {
        self.sends == SendingDialect::Auto
    }

    /// Returns how failed publications of requests are retried.
    pub(crate) fn request_retry(&self) -> PublishRetry {
        self.retry(self.options.rpc_retry, self.options.rpc_retry_delay)
    }

    /// Returns how failed publications of notifications are retried.
    pub(crate) fn notification_retry(&self) -> PublishRetry {
        self.retry(self.options.notification_retry, self.options.notification_retry_delay)
    }

    /// Only the `pika` driver has options for it, and waits for a queue.
    fn retry(&self, attempts: Option<u32>, delay: Duration) -> PublishRetry {
        let is_pika = self.sends == SendingDialect::Pika;
        PublishRetry {
            default: Retry::from(attempts.filter(|_| is_pika).map(i64::from)),
            unroutable_delay: is_pika.then_some(delay),
        }
    }

    /// Returns whether servers send heartbeats to a caller that asks for them. Servers of the
    /// `pika` driver never do.
    pub(crate) fn heartbeats(&self) -> Heartbeats {
        match self.sends {
            SendingDialect::Kombu => Heartbeats::Always,
            SendingDialect::Auto => Heartbeats::Maybe,
            SendingDialect::Pika => Heartbeats::Never,
        }
    }

    /// Returns the queue and the properties of a topic's notifications of one priority.
    ///
    /// # Errors
    /// `InvalidTarget`.
    pub(crate) fn notification_queue(
        &self,
        target: &Target,
        priority: Priority,
        format: &WireFormat,
    ) -> Result<(Subscription, Properties), Error> {
        let subscription = match format {
            WireFormat::Pika(_) => self.pika.notifications(target, priority, None)?,
            WireFormat::Kombu | WireFormat::Both => {
                self.kombu.notifications(target, priority, None)?
            }
        };
        let properties = format.notification_properties(self.options.notification_persistence);
        Ok((subscription, properties))
    }

    /// Returns the compressor of requests and notifications. Only the `kombu` format is compressed:
    /// readers of the old `pika` driver know no compression.
    pub(crate) fn compressor(&self) -> Option<Compressor> {
        self.reply_compressor().filter(|_| self.sends == SendingDialect::Kombu)
    }

    /// Returns the compressor of replies through the default exchange.
    pub(crate) fn reply_compressor(&self) -> Option<Compressor> {
        self.compression.map(kombu::compression::compressor)
    }
}
