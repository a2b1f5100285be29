//! The wire formats of messages.

use crate::codec::serialization::Serialization;

/// The format of a request, a reply or a notification.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) enum WireFormat {
    /// That of oslo's `rabbit` driver: everything in the body.
    #[default]
    Kombu,
    /// That of its old `pika` driver: identifiers in the properties.
    Pika(Serialization),
    /// One that both read: JSON without an envelope, identifiers in the body and the properties.
    Both,
}

/// How replies in a format reach their caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReplyRouting {
    /// Through the default exchange, to the queue by its name.
    DefaultExchange,
    /// Through the exchange of replies, whose bindings have the names of the queues.
    ReplyExchange,
}

impl WireFormat {
    /// How replies in this format reach their caller.
    pub(crate) const fn reply_routing(&self) -> ReplyRouting {
        match self {
            Self::Kombu | Self::Both => ReplyRouting::DefaultExchange,
            Self::Pika(_) => ReplyRouting::ReplyExchange,
        }
    }

    /// Whether callers in this format know heartbeats. The old `pika` driver would take one for
    /// the result.
    pub(crate) const fn has_heartbeats(&self) -> bool {
        !matches!(self, Self::Pika(_))
    }

    /// The index of its counter, below 3.
    pub(crate) const fn index(&self) -> usize {
        match self {
            Self::Kombu => 0,
            Self::Pika(_) => 1,
            Self::Both => 2,
        }
    }
}
