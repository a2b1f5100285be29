//! The keys of requests and notifications and their fields, written and read, for both formats.
//!
//! The formats differ in the order of some members, in the prefixes of context keys, and in which
//! identifiers stand in the body; their writers and readers (`kombu`, `pika`, `both`) say so. Not
//! here: the writer of `kombu` requests (`kombu::encode`), which copies longer constants.

use serde::Serialize;

use crate::codec::error::WriteError;
use crate::dialect::body::keys::{
    ARGS, EVENT_TYPE, KOMBU_CONTEXT_PREFIX, MESSAGE_ID, METHOD, MSG_ID, NAMESPACE, PAYLOAD,
    PIKA_CONTEXT_PREFIX, PRIORITY, PUBLISHER_ID, REPLY_QUEUE, TIMEOUT, TIMESTAMP, UNIQUE_ID,
    VERSION,
};
use crate::dialect::body::member::FieldValue;
use crate::dialect::body::object::{Members, ObjectWriter};
use crate::dialect::error::{DecodeError, EncodeError};
use crate::message::context::Context;
use crate::message::notification::{IncomingNotification, OutgoingNotification};
use crate::message::{CallFields, IncomingRequest, Request};

/// Writes what a request is to execute.
#[inline]
pub(in crate::dialect) fn write_invocation<O: ObjectWriter, A: Serialize + ?Sized>(
    object: &mut O,
    request: &Request<'_, A>,
) -> Result<(), EncodeError> {
    object.text(&METHOD, request.method)?;
    object.arguments(&ARGS, request.args)?;
    if let Some(namespace) = request.namespace {
        object.text(&NAMESPACE, namespace)?;
    }
    if let Some(version) = request.version {
        object.text(&VERSION, version)?;
    }
    Ok(())
}

/// Writes where the reply to a call goes, and how long its caller waits between heartbeats.
#[inline]
pub(in crate::dialect) fn write_call<O: ObjectWriter>(
    object: &mut O,
    call: &CallFields<'_>,
) -> Result<(), WriteError> {
    object.id(&MSG_ID, &call.msg_id)?;
    object.text(&REPLY_QUEUE, call.reply_queue)?;
    match call.monitor {
        None => object.value(&TIMEOUT, &()),
        Some(timeout) if timeout.subsec_nanos() == 0 => object.value(&TIMEOUT, &timeout.as_secs()),
        Some(timeout) => object.value(&TIMEOUT, &timeout.as_secs_f64()),
    }
}

/// Writes the entries of a context, their keys with a prefix.
#[inline]
pub(in crate::dialect) fn write_context<O: ObjectWriter>(
    object: &mut O,
    prefix: &str,
    context: &Context,
) -> Result<(), WriteError> {
    context.iter().try_for_each(|(key, value)| object.entry(prefix, key, value))
}

/// The members of a notification.
pub(in crate::dialect) struct NotificationMembers<'n, 'a, P: ?Sized> {
    pub(in crate::dialect) notification: &'n OutgoingNotification<'a, P>,
    /// Whether the unique id stands in the body; otherwise it is the message id among the
    /// properties.
    pub(in crate::dialect) has_unique_id: bool,
    /// The context is written once for each of these prefixes.
    pub(in crate::dialect) context_prefixes: &'n [&'static str],
}

impl<P: Serialize + ?Sized> NotificationMembers<'_, '_, P> {
    /// The number of members.
    pub(in crate::dialect) fn count(&self) -> usize {
        let entries = self.notification.context.iter().count();
        6 + usize::from(self.has_unique_id) + self.context_prefixes.len() * entries
    }
}

impl<P: Serialize + ?Sized> Members for NotificationMembers<'_, '_, P> {
    type Error = WriteError;

    #[inline]
    fn write<O: ObjectWriter>(&self, object: &mut O) -> Result<(), WriteError> {
        let notification = self.notification;
        object.text(&MESSAGE_ID, notification.message_id)?;
        object.text(&PUBLISHER_ID, notification.publisher_id)?;
        object.text(&EVENT_TYPE, notification.event_type)?;
        object.text(&PRIORITY, notification.priority.as_upper_str())?;
        object.value(&PAYLOAD, notification.payload)?;
        object.text(&TIMESTAMP, notification.timestamp)?;
        if self.has_unique_id {
            object.id(&UNIQUE_ID, &notification.unique_id)?;
        }
        for prefix in self.context_prefixes {
            write_context(object, prefix, notification.context)?;
        }
        Ok(())
    }
}

/// Reads a member of a request. Calls `other` with the context and the value for any other key.
#[inline]
pub(in crate::dialect) fn read_request_field<'a, V: FieldValue<'a>>(
    request: &mut IncomingRequest<'a>,
    key: &str,
    value: V,
    other: impl FnOnce(&mut Context, V) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    match key {
        "method" => request.method = value.text()?,
        "args" => request.args = value.encoded(),
        "namespace" => request.namespace = value.text()?,
        "version" => request.version = value.text()?,
        "_msg_id" => request.msg_id = value.text()?,
        "_reply_q" => request.reply_queue = value.text()?,
        "_unique_id" => request.unique_id = value.text()?,
        "_timeout" => {
            let seconds = value.text()?.and_then(|text| text.parse().ok());
            request.context.set_client_timeout(seconds);
        }
        _ => other(&mut request.context, value)?,
    }
    Ok(())
}

/// Reads a member of a notification. Calls `other` with the context and the value for any other
/// key.
#[inline]
pub(in crate::dialect) fn read_notification_field<'a, V: FieldValue<'a>>(
    notification: &mut IncomingNotification<'a>,
    key: &str,
    value: V,
    other: impl FnOnce(&mut Context, V) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    match key {
        "message_id" => notification.message_id = value.text()?,
        "publisher_id" => notification.publisher_id = value.text()?,
        "event_type" => notification.event_type = value.text()?,
        "priority" => notification.priority = value.text()?,
        "payload" => notification.payload = value.encoded(),
        "timestamp" => notification.timestamp = value.text()?,
        "_unique_id" => notification.unique_id = value.text()?,
        _ => other(&mut notification.context, value)?,
    }
    Ok(())
}

/// Reads an entry of a `kombu` context; ignores any other key.
#[inline]
pub(in crate::dialect) fn read_kombu_context<'a, V: FieldValue<'a>>(
    context: &mut Context,
    key: &str,
    value: V,
) -> Result<(), DecodeError> {
    if let Some(name) = key.strip_prefix(KOMBU_CONTEXT_PREFIX) {
        context.append(name, value.checked()?);
    }
    Ok(())
}

/// Reads an entry of a context in either format; ignores any other key. Always inlined: a call for
/// each entry takes 2 % more instructions for a whole request.
#[inline(always)]
pub(in crate::dialect) fn read_either_context<'a, V: FieldValue<'a>>(
    kombu: &mut Context,
    pika: &mut Context,
    key: &str,
    value: V,
) -> Result<(), DecodeError> {
    let (context, name) = if let Some(name) = key.strip_prefix(PIKA_CONTEXT_PREFIX) {
        (pika, name)
    } else if let Some(name) = key.strip_prefix(KOMBU_CONTEXT_PREFIX) {
        (kombu, name)
    } else {
        return Ok(());
    };
    context.append(name, value.checked()?);
    Ok(())
}
