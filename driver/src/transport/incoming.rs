//! What came in: where a delivery of the broker meets the dialects' rules.
//!
//! Requests are read as the queue they came through has it; replies and notifications, which both
//! dialects send through one queue, as they say themselves.

use std::borrow::Cow;
use std::time::Duration;

use leveret_engine::Delivery;
use leveret_engine::wire::PropertiesView;

use crate::dialect::{CustomSerializers, DecodeError, Dialect, kombu, pika};
use crate::ids::Hex32;
use crate::message::form::WireFormat;
use crate::message::notification::IncomingNotification;
use crate::message::{IncomingReply, IncomingRequest};
use crate::transport::reply_sender::ReplyAddress;

/// A message's text, unpacked, if it is text by its own account.
#[inline]
fn text_of<'a>(
    delivery: &'a Delivery,
    head: &PropertiesView<'_>,
) -> Result<Cow<'a, [u8]>, DecodeError> {
    kombu::check_content(head.content_type)?;
    kombu::unpack(kombu::label(head), delivery.body().contiguous())
}

/// Reads a request of a queue of this dialect.
pub(crate) fn with_request<T>(
    delivery: &Delivery,
    dialect: Dialect,
    known: CustomSerializers<'_>,
    read: impl FnOnce(IncomingRequest<'_>) -> T,
) -> Result<T, DecodeError> {
    let head = delivery.properties();
    if dialect == Dialect::Pika {
        let body = delivery.body().contiguous();
        return pika::decode_request(&body, &head, known).map(read);
    }
    let text = text_of(delivery, &head)?;
    kombu::Scratch::with(|scratch| {
        let mut request = kombu::decode_request(&text, scratch)?;
        if pika::is_versioned(&head) {
            // What both dialects understand has this id.
            if request.unique_id.is_none() {
                return Err(DecodeError::OtherDialect("pika"));
            }
            request.form = WireFormat::Both;
        }
        Ok(read(request))
    })
}

/// Reads a reply.
pub(crate) fn with_reply<T>(
    delivery: &Delivery,
    known: CustomSerializers<'_>,
    read: impl FnOnce(IncomingReply<'_>) -> T,
) -> Result<T, DecodeError> {
    let head = delivery.properties();
    if pika::is_versioned(&head) {
        let body = delivery.body().contiguous();
        return pika::decode_reply(&body, &head, known).map(read);
    }
    let text = text_of(delivery, &head)?;
    kombu::Scratch::with(|scratch| kombu::decode_reply(&text, scratch).map(read))
}

/// Reads a notification.
pub(crate) fn with_notification<T>(
    delivery: &Delivery,
    known: CustomSerializers<'_>,
    read: impl FnOnce(IncomingNotification<'_>) -> T,
) -> Result<T, DecodeError> {
    let head = delivery.properties();
    if pika::is_versioned(&head) {
        let body = delivery.body().contiguous();
        return pika::decode_notification(&body, &head, known).map(read);
    }
    let text = text_of(delivery, &head)?;
    kombu::Scratch::with(|scratch| kombu::decode_notification(&text, scratch).map(read))
}

/// Who waits for the answer to a request that could not be read, if that much can be told.
pub(crate) fn sender_of(delivery: &Delivery, known: CustomSerializers<'_>) -> Option<ReplyAddress> {
    let head = delivery.properties();
    if let (Some(msg_id), Some(queue)) = (head.correlation_id, head.reply_to) {
        let content_type = head.content_type.unwrap_or_default();
        let serialization = crate::codec::serialization::Serialization::named(content_type, known);
        let form = WireFormat::Pika(serialization.unwrap_or_default());
        return ReplyAddress::new(msg_id, queue, form, None);
    }
    let text = text_of(delivery, &head).ok()?;
    kombu::Scratch::with(|scratch| {
        let kombu::Address { msg_id, reply_queue } = kombu::decode_address(&text, scratch).ok()?;
        ReplyAddress::new(&msg_id?, &reply_queue?, WireFormat::Kombu, None)
    })
}

/// Which call a reply answers that is not to be decoded.
pub(crate) fn call_of(delivery: &Delivery) -> Option<Hex32> {
    let head = delivery.properties();
    if pika::is_versioned(&head) {
        return Hex32::from_digits(head.correlation_id?.as_bytes());
    }
    let text = text_of(delivery, &head).ok()?;
    kombu::Scratch::with(|scratch| {
        let kombu::Address { msg_id, .. } = kombu::decode_address(&text, scratch).ok()?;
        Hex32::from_digits(msg_id?.as_bytes())
    })
}

/// [`sender_of`] a request of which only the end of the body is there.
pub(crate) fn sender_of_cut(
    delivery: &Delivery,
    known: CustomSerializers<'_>,
) -> Option<ReplyAddress> {
    let head = delivery.properties();
    if head.correlation_id.is_some() && head.reply_to.is_some() {
        return sender_of(delivery, known);
    }
    let tail = delivery.body().contiguous();
    let (msg_id, queue) = kombu::peek_sender(&tail)?;
    ReplyAddress::new(msg_id.as_str(), queue, WireFormat::Kombu, None)
}

/// How long a message of the `pika` dialect is of use to its sender, from when it was sent.
pub(crate) fn life_of(head: &PropertiesView<'_>) -> Option<Duration> {
    head.expiration?.parse().ok().map(Duration::from_millis)
}
