//! The wire formats of messages.

use crate::codec::serialization::Serialization;

/// The format of a request, a reply or a notification.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) enum WireFormat {
    /// The format of oslo's `rabbit` driver: everything is in the body.
    #[default]
    Kombu,
    /// The format of oslo's old `pika` driver: the identifiers are properties.
    Pika(Serialization),
    /// A format that both read: JSON without an envelope, the identifiers in the body and in the
    /// properties.
    Both,
}

/// How replies are routed to the reply queue of their caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReplyRouting {
    /// Through the default exchange, by the queue's name.
    DefaultExchange,
    /// Through the exchange of replies, whose binding keys are the names of the queues.
    ReplyExchange,
}

impl WireFormat {
    /// Returns how replies in this format are routed.
    pub(crate) const fn reply_routing(&self) -> ReplyRouting {
        match self {
            Self::Kombu | Self::Both => ReplyRouting::DefaultExchange,
            Self::Pika(_) => ReplyRouting::ReplyExchange,
        }
    }

    /// Whether callers in this format understand heartbeats. The old `pika` driver would take one
    /// for the result.
    pub(crate) const fn has_heartbeats(&self) -> bool {
        !matches!(self, Self::Pika(_))
    }

    /// The index of the format's counter, below 3.
    pub(crate) const fn index(&self) -> usize {
        match self {
            Self::Kombu => 0,
            Self::Pika(_) => 1,
            Self::Both => 2,
        }
    }
}
