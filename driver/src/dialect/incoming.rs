//! Reads deliveries: requests, replies and notifications.
//!
//! The queue of a request tells its format. Replies and notifications of both formats share a
//! queue, so the properties of each tell its format.

use std::borrow::Cow;
use std::time::Duration;

use leveret_engine::wire::PropertiesView;
use leveret_engine::{Body, Delivery};

use crate::codec::serialization::Serialization;
use crate::config::options::dialects::SendingDialect;
use crate::dialect::body::scratch::Scratch;
use crate::dialect::error::DecodeError;
use crate::dialect::expiration::expiration;
use crate::dialect::format::WireFormat;
use crate::dialect::kombu;
use crate::dialect::peek::Peek;
use crate::dialect::pika;
use crate::dialect::pika::properties::CustomSerializers;
use crate::dialect::replies::ReplyAddress;
use crate::dialect::wire::Wire;
use crate::message::ids::Hex32;
use crate::message::notification::IncomingNotification;
use crate::message::{IncomingReply, IncomingRequest};

/// The format of the requests in a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RequestFormat {
    /// The format of the `rabbit` driver, or the one that both read.
    Kombu,
    /// The format of the `pika` driver, or the one that both read.
    Pika,
}

impl RequestFormat {
    /// Whether a message looks like a usual request by its properties and by the first and the last
    /// bytes of its body. A message that does not may still be a request: a full decode decides.
    pub(crate) fn looks_like_request(self, head: &PropertiesView<'_>, body: &Body) -> bool {
        match self {
            Self::Kombu => {
                let first = body.pieces().next().unwrap_or_default();
                let last = body.pieces().last().unwrap_or_default();
                kombu::properties::check_content(head.content_type).is_ok()
                    && kombu::envelope_reader::is_enveloped(first, last)
            }
            Self::Pika => {
                pika::properties::check_version(head).is_ok() && head.message_id.is_some()
            }
        }
    }

    /// Returns how long the caller waits for the reply, counted from when it sent the request;
    /// `None` where requests do not say.
    pub(crate) fn time_to_live(self, head: &PropertiesView<'_>) -> Option<Duration> {
        match self {
            Self::Kombu => None,
            Self::Pika => expiration(head),
        }
    }
}

impl Wire {
    /// Reads a request. Calls `read` with it and the format of its reply.
    pub(crate) fn read_request<T>(
        &self,
        delivery: &Delivery,
        format: RequestFormat,
        read: impl FnOnce(IncomingRequest<'_>, WireFormat) -> T,
    ) -> Result<T, DecodeError> {
        let head = delivery.properties();
        if format == RequestFormat::Pika {
            let body = delivery.body().contiguous();
            let (request, format) = pika::decode::request(&body, &head, &self.options.serializers)?;
            return Ok(read(request, format));
        }
        let text = text_of(delivery, &head)?;
        Scratch::with(|scratch| {
            let request = kombu::decode::request(&text, scratch)?;
            if !pika::properties::is_versioned(&head) {
                return Ok(read(request, WireFormat::Kombu));
            }
            // Requests that both formats read have this id.
            if request.unique_id.is_none() {
                return Err(DecodeError::OtherDialect("pika"));
            }
            Ok(read(request, WireFormat::Both))
        })
    }

    /// Reads a reply. Calls `read` with it.
    pub(crate) fn read_reply<T>(
        &self,
        delivery: &Delivery,
        read: impl FnOnce(IncomingReply<'_>) -> T,
    ) -> Result<T, DecodeError> {
        read_reply_by(delivery, &self.options.serializers, read)
    }

    /// Reads a notification. Calls `read` with it.
    pub(crate) fn read_notification<T>(
        &self,
        delivery: &Delivery,
        read: impl FnOnce(IncomingNotification<'_>) -> T,
    ) -> Result<T, DecodeError> {
        let head = delivery.properties();
        if pika::properties::is_versioned(&head) {
            let body = delivery.body().contiguous();
            return pika::notification::decode(&body, &head, &self.options.serializers).map(read);
        }
        let text = text_of(delivery, &head)?;
        Scratch::with(|scratch| kombu::notification::decode(&text, scratch).map(read))
    }

    /// Returns the reply address of a request that cannot be decoded, if it can be found.
    pub(crate) fn reply_address_of(&self, delivery: &Delivery) -> Option<ReplyAddress> {
        let head = delivery.properties();
        if let (Some(msg_id), Some(queue)) = (head.correlation_id, head.reply_to) {
            let content_type = head.content_type.unwrap_or_default();
            let serialization =
                Serialization::from_content_type(content_type, &self.options.serializers);
            let format = WireFormat::Pika(serialization.unwrap_or_default());
            return ReplyAddress::new(msg_id, queue, format, None);
        }
        let text = text_of(delivery, &head).ok()?;
        Scratch::with(|scratch| {
            let ids = kombu::decode::call_ids(&text, scratch).ok()?;
            let (msg_id, queue) = (ids.msg_id?, ids.reply_queue?);
            ReplyAddress::new(&msg_id, &queue, WireFormat::Kombu, None)
        })
    }

    /// [`reply_address_of`](Self::reply_address_of) for a request of which only the end was kept.
    pub(crate) fn reply_address_of_truncated(&self, delivery: &Delivery) -> Option<ReplyAddress> {
        let head = delivery.properties();
        if head.correlation_id.is_some() && head.reply_to.is_some() {
            return self.reply_address_of(delivery);
        }
        let tail = delivery.body().contiguous();
        let (msg_id, queue) = kombu::peek::sender(&tail)?;
        ReplyAddress::new(msg_id.as_str(), queue, WireFormat::Kombu, None)
    }

    /// Finds the call of a reply in the last bytes of its body. Runs on the shard: where only the
    /// `kombu` format is sent, it parses no properties.
    pub(crate) fn peek_reply(&self, delivery: &Delivery) -> Peek {
        if self.sends != SendingDialect::Kombu
            && let Some(id) = delivery.properties().correlation_id
        {
            return Hex32::from_digits(id.as_bytes()).map_or(Peek::Unsure, Peek::Reply);
        }
        peek(delivery.body())
    }

    /// Finds what [`peek_reply`](Self::peek_reply) looks for by decoding the reply, which may be
    /// compressed. `None` for a reply without the id of a call. Runs no code of the user: a reply
    /// in a serialization of the user's own is an error.
    pub(crate) fn read_reply_id(&self, delivery: &Delivery) -> Result<Option<Peek>, DecodeError> {
        let read = read_reply_by(delivery, &[], |reply| {
            let msg_id = Hex32::from_digits(reply.msg_id.as_deref()?.as_bytes())?;
            let is_empty = reply.result.is_none() && reply.failure.is_none() && !reply.is_ending;
            Some(if is_empty { Peek::Heartbeat(msg_id) } else { Peek::Reply(msg_id) })
        });
        match read {
            // The caller decodes the reply, and gets this error from it.
            Err(error) if error.is_over_budget() => Ok(self.call_id_of(delivery).map(Peek::Reply)),
            read => read,
        }
    }

    /// Returns the id of the call of a reply that cannot be decoded.
    pub(crate) fn call_id_of(&self, delivery: &Delivery) -> Option<Hex32> {
        let head = delivery.properties();
        if pika::properties::is_versioned(&head) {
            return Hex32::from_digits(head.correlation_id?.as_bytes());
        }
        let text = text_of(delivery, &head).ok()?;
        Scratch::with(|scratch| {
            let ids = kombu::decode::call_ids(&text, scratch).ok()?;
            Hex32::from_digits(ids.msg_id?.as_bytes())
        })
    }
}

fn read_reply_by<T>(
    delivery: &Delivery,
    serializers: CustomSerializers<'_>,
    read: impl FnOnce(IncomingReply<'_>) -> T,
) -> Result<T, DecodeError> {
    let head = delivery.properties();
    if pika::properties::is_versioned(&head) {
        let body = delivery.body().contiguous();
        return pika::decode::reply(&body, &head, serializers).map(read);
    }
    let text = text_of(delivery, &head)?;
    Scratch::with(|scratch| kombu::decode::reply(&text, scratch).map(read))
}

/// Returns the JSON text of a body, decompressed, if the content type says that it is JSON.
#[inline]
fn text_of<'a>(
    delivery: &'a Delivery,
    head: &PropertiesView<'_>,
) -> Result<Cow<'a, [u8]>, DecodeError> {
    kombu::properties::check_content(head.content_type)?;
    kombu::compression::decompress(kombu::compression::label(head), delivery.body().contiguous())
}

/// Peeks at the end of a body, which may be in several pieces.
fn peek(body: &Body) -> Peek {
    let mut tail = [0; kombu::peek::TAIL_BYTES];
    let mut skip = body.len().saturating_sub(tail.len());
    let mut length = 0;
    for piece in body.pieces() {
        let rest = &piece[skip.min(piece.len())..];
        skip -= piece.len() - rest.len();
        tail[length..length + rest.len()].copy_from_slice(rest);
        length += rest.len();
    }
    kombu::peek::reply(&tail[..length])
}
