//! What became of a publication.

use std::fmt;

use crate::buffer::Body;
use crate::error::Error;
use crate::shard::border::delivery::Returned;
use crate::wire::{ContentHeader, PropertiesView};

/// The end of a publication, as surely as it can be known.
#[derive(Debug)]
#[must_use = "a publication that failed is lost unless its outcome is looked at"]
#[non_exhaustive]
pub enum Outcome {
    /// The broker has taken responsibility (publisher confirm).
    Confirmed,
    /// Handed to the connection; the channel has no confirms, so nothing more will be known.
    Sent,
    /// Mandatory, and no queue was bound for it.
    Returned(Box<Returned>),
    /// The broker refused responsibility (`basic.nack`): a queue overflowed or failed. What its
    /// publisher [retained](crate::Publisher::retained) was sent again for as long as
    /// [`ConnectionConfig::nack_retry`](crate::ConnectionConfig::nack_retry) before, and is given
    /// back here, to be published again much later if at all.
    Nacked(Option<Box<Nacked>>),
    /// The broker refused it for certain: it ended the channel over this publication (AMQP 1.2):
    /// no permission to write (403), no such exchange (404), too large (406). No queue has it. With
    /// what was published if its publisher [retained](crate::Publisher::retained) it.
    Refused(Error, Option<Box<Nacked>>),
    /// No byte of it left this process.
    NotSent(Error),
    /// It may have reached the broker, or not: the connection or channel ended before the confirm,
    /// or the deadline came first.
    MaybeSent(Error),
}

impl Outcome {
    /// True when the broker has it (or, without confirms, when the connection has).
    #[must_use]
    pub fn is_ok(&self) -> bool {
        matches!(self, Self::Confirmed | Self::Sent)
    }
}

/// A publication the broker refused, as it was published.
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
    /// The payload of its header frame.
    pub(crate) header: Vec<u8>,
    pub(crate) body: Body,
}

impl Nacked {
    /// The exchange it was published to.
    #[must_use]
    pub fn exchange(&self) -> &str {
        &self.exchange
    }

    /// The routing key it was published with.
    #[must_use]
    pub fn routing_key(&self) -> &str {
        &self.routing_key
    }

    /// Its properties.
    #[must_use]
    pub fn properties(&self) -> PropertiesView<'_> {
        ContentHeader::parse(&self.header).map(|header| header.properties).unwrap_or_default()
    }

    /// The body, unchanged.
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
