//! Encodes requests, replies and notifications in their wire format.

use std::time::Duration;

use leveret_engine::Properties;
use serde::Serialize;

use crate::codec::error::WriteError;
use crate::dialect::error::EncodeError;
use crate::dialect::format::WireFormat;
use crate::dialect::{both, kombu, pika};
use crate::message::ids::Hex32;
use crate::message::notification::OutgoingNotification;
use crate::message::{MessageIds, Reply, Request};

impl WireFormat {
    /// Appends the body of a request.
    pub(crate) fn encode_request<A: Serialize + ?Sized>(
        &self,
        out: &mut Vec<u8>,
        request: &Request<'_, A>,
    ) -> Result<(), EncodeError> {
        match self {
            Self::Kombu => kombu::encode::request(out, request),
            Self::Pika(serialization) => pika::encode::request(out, request, serialization),
            Self::Both => both::encode_request(out, request),
        }
    }

    /// Returns the identifiers that a message has among its properties; `None` where they are in
    /// the body.
    pub(crate) fn message_ids(
        &self,
        unique_id: Hex32,
        msg_id: Option<Hex32>,
    ) -> Option<MessageIds> {
        match self {
            Self::Kombu => None,
            Self::Pika(_) | Self::Both => {
                Some(MessageIds { message_id: unique_id, correlation_id: msg_id })
            }
        }
    }

    /// Returns the properties of requests; those of calls have the timeout and the reply queue.
    pub(super) fn request_properties(&self, call: Option<(Duration, &str)>) -> Properties {
        match self {
            Self::Kombu => kombu::properties::message(call.map(|(timeout, _)| timeout)),
            Self::Pika(serialization) => pika::properties::request(serialization, call),
            Self::Both => both::request_properties(call),
        }
    }

    /// Appends the body of a reply. The reply to a request that both formats read is in the `kombu`
    /// format, which carries more of an exception.
    pub(crate) fn encode_reply<R: Serialize + ?Sized>(
        &self,
        out: &mut Vec<u8>,
        reply: &Reply<'_, R>,
    ) -> Result<(), WriteError> {
        match self {
            Self::Pika(serialization) => pika::encode::reply(out, &reply.content, serialization),
            Self::Kombu | Self::Both => kombu::encode::reply(out, reply),
        }
    }

    /// Appends the body of a notification. One in the `kombu` format has an envelope if
    /// `is_enveloped`.
    pub(crate) fn encode_notification<P: Serialize + ?Sized>(
        &self,
        out: &mut Vec<u8>,
        notification: &OutgoingNotification<'_, P>,
        is_enveloped: bool,
    ) -> Result<(), WriteError> {
        match self {
            Self::Kombu => kombu::notification::encode(out, notification, is_enveloped),
            Self::Pika(serialization) => {
                pika::notification::encode(out, notification, serialization)
            }
            Self::Both => both::encode_notification(out, notification),
        }
    }

    /// Returns the properties of notifications. `persistent` applies to the `pika` format; the
    /// others are always persistent.
    pub(super) fn notification_properties(&self, persistent: bool) -> Properties {
        match self {
            Self::Kombu => kombu::properties::message(None),
            Self::Pika(serialization) => pika::properties::message(serialization, persistent),
            Self::Both => both::properties(),
        }
    }
}
