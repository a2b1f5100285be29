//! The outcome of a publication.

use std::fmt;

use crate::buffer::Body;
use crate::error::Error;
use crate::shard::border::delivery::Returned;
use crate::wire::properties::{ContentHeader, PropertiesView};

/// The outcome of a publication, as precisely as the engine can know it.
#[derive(Debug)]
#[must_use = "a publication that failed is lost unless its outcome is looked at"]
#[non_exhaustive]
pub enum Outcome {
    /// The broker has taken responsibility for it (publisher confirm).
    Confirmed,
    /// The connection has accepted it, and nothing more is reported: the channel has no confirms,
    /// or the publisher is [fire-and-forget](crate::Publisher::fire_and_forget).
    Sent,
    /// It is mandatory and the broker found no queue for it (`basic.return`).
    Returned(Box<Returned>),
    /// The broker refused responsibility (`basic.nack`): a queue overflowed or failed. If its
    /// publisher [retained](crate::Publisher::retained) it, the engine has sent it again for
    /// [`ConnectionConfig::nack_retry`](crate::ConnectionConfig::nack_retry) and returns it here;
    /// the caller may publish it again much later.
    Nacked(Option<Box<Nacked>>),
    /// The broker closed the channel because of this publication (AMQP 1.2): no permission to write
    /// (403), no such exchange (404), too large (406). No queue has it. Contains the publication if
    /// its publisher [retained](crate::Publisher::retained) it.
    Refused(Error, Option<Box<Nacked>>),
    /// It was never sent.
    NotSent(Error),
    /// The broker may have received it: the connection or the channel ended, or the deadline
    /// passed, before the confirm arrived.
    MaybeSent(Error),
}

impl Outcome {
    /// Returns true if the broker has the publication or, without confirms, if the connection has
    /// accepted it.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        matches!(self, Self::Confirmed | Self::Sent)
    }
}

/// A publication that the broker refused, with its exchange, routing key, properties and body.
///
/// ```
/// use leveret_engine::{Confirm, Outcome, PublishError, Publisher};
/// use std::time::Duration;
///
/// /// Publishes again what the broker refused.
/// fn again(retained: &Publisher, outcome: &Outcome) -> Result<Option<Confirm>, PublishError> {
///     let Outcome::Nacked(Some(nacked)) = outcome else { return Ok(None) };
///     let body = nacked.body().contiguous();
///     retained.try_publish(&*body, Duration::from_secs(5)).map(Some)
/// }
/// ```
pub struct Nacked {
    pub(crate) exchange: String,
    pub(crate) routing_key: String,
    /// Payload of its content header frame.
    pub(crate) header: Vec<u8>,
    pub(crate) body: Body,
}

impl Nacked {
    /// Returns the exchange it was published to.
    #[must_use]
    pub fn exchange(&self) -> &str {
        &self.exchange
    }

    /// Returns the routing key it was published with.
    #[must_use]
    pub fn routing_key(&self) -> &str {
        &self.routing_key
    }

    /// Returns its properties.
    #[must_use]
    pub fn properties(&self) -> PropertiesView<'_> {
        ContentHeader::parse(&self.header).map(|header| header.properties).unwrap_or_default()
    }

    /// Returns its body, unchanged.
    #[must_use]
    pub fn body(&self) -> &Body {
        &self.body
    }
}

impl fmt::Debug for Nacked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nacked")
            .field("exchange", &self.exchange)
            .field("routing_key", &self.routing_key)
            .finish_non_exhaustive()
    }
}
