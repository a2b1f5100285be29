//! Notifications: flat, the same whatever oslo's driver option says (`messaging` or
//! `messagingv2`).

use leveret_engine::wire::PropertiesView;
use serde::Serialize;

use crate::codec::json::WriteError;
use crate::codec::serialization::Serialization;
use crate::dialect::body::keys::{KOMBU_CONTEXT_PREFIX, PIKA_CONTEXT_PREFIX};
use crate::dialect::body::member::each;
use crate::dialect::body::object::Object;
use crate::dialect::error::DecodeError;
use crate::dialect::pika::properties::{CustomSerializers, check_version, serialization};
use crate::message::context::Context;
use crate::message::notification::{IncomingNotification, OutgoingNotification};

/// Appends the body of a notification.
pub(crate) fn encode<P: Serialize + ?Sized>(
    out: &mut Vec<u8>,
    notification: &OutgoingNotification<'_, P>,
    serialization: &Serialization,
) -> Result<(), WriteError> {
    let start = out.len();
    write(out, notification, serialization, &[PIKA_CONTEXT_PREFIX], false)
        .inspect_err(|_| out.truncate(start))
}

/// Appends one that both dialects understand.
pub(in crate::dialect) fn encode_for_both<P: Serialize + ?Sized>(
    out: &mut Vec<u8>,
    notification: &OutgoingNotification<'_, P>,
) -> Result<(), WriteError> {
    let start = out.len();
    let prefixes = [KOMBU_CONTEXT_PREFIX, PIKA_CONTEXT_PREFIX];
    write(out, notification, &Serialization::Json, &prefixes, true)
        .inspect_err(|_| out.truncate(start))
}

fn write<P: Serialize + ?Sized>(
    out: &mut Vec<u8>,
    notification: &OutgoingNotification<'_, P>,
    serialization: &Serialization,
    prefixes: &[&str],
    has_id: bool,
) -> Result<(), WriteError> {
    let length = 6 + usize::from(has_id) + prefixes.len() * notification.context.iter().count();
    let mut object = Object::begin(out, serialization, length);
    object.text("message_id", notification.message_id)?;
    object.text("publisher_id", notification.publisher_id)?;
    object.text("event_type", notification.event_type)?;
    object.text("priority", notification.priority.as_upper_str())?;
    object.value("", "payload", notification.payload)?;
    object.text("timestamp", notification.timestamp)?;
    if has_id {
        object.text("_unique_id", notification.unique_id.as_str())?;
    }
    for prefix in prefixes {
        for (key, value) in notification.context.iter() {
            object.value(prefix, key, value)?;
        }
    }
    object.end()
}

/// Reads a notification.
pub(crate) fn decode<'a>(
    body: &'a [u8],
    head: &PropertiesView<'a>,
    serializers: CustomSerializers<'_>,
) -> Result<IncomingNotification<'a>, DecodeError> {
    check_version(head)?;
    let mut notification = IncomingNotification::default();
    let mut context = Context::new();
    each(body, &serialization(head, serializers)?, |key, member| {
        match &*key {
            "message_id" => notification.message_id = member.text()?,
            "publisher_id" => notification.publisher_id = member.text()?,
            "event_type" => notification.event_type = member.text()?,
            "priority" => notification.priority = member.text()?,
            "payload" => notification.payload = member.encoded(),
            "timestamp" => notification.timestamp = member.text()?,
            "_unique_id" => notification.unique_id = member.text()?,
            key => {
                if let Some(name) = key.strip_prefix(PIKA_CONTEXT_PREFIX) {
                    context.append(name, member.checked()?);
                } else if let Some(name) = key.strip_prefix(KOMBU_CONTEXT_PREFIX) {
                    notification.context.append(name, member.checked()?);
                }
            }
        }
        Ok(())
    })?;
    if notification.context.is_empty() {
        notification.context = context;
    }
    notification.context.settle();
    notification.unique_id = notification.unique_id.take().or(head.message_id.map(Into::into));
    Ok(notification)
}
