//! In which form a message is written.

use crate::codec::serialization::Serialization;
use crate::ids::Hex32;

/// A form of requests, replies and notifications.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) enum WireFormat {
    /// That of oslo's `rabbit` driver: everything in the body.
    #[default]
    Kombu,
    /// That of its old `pika` driver: identifiers in the properties.
    Pika(Serialization),
    /// One that both understand: JSON without an envelope, everything in both places.
    Both,
}

/// Identifiers among the properties of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MessageIds {
    pub(crate) message_id: Hex32,
    pub(crate) correlation_id: Option<Hex32>,
}
