//! Notifications. They are flat, whatever oslo's option for the notification driver says
//! (`messaging` or `messagingv2`).

use leveret_engine::wire::PropertiesView;
use serde::Serialize;

use crate::codec::error::WriteError;
use crate::codec::serialization::Serialization;
use crate::dialect::body::fields::{
    NotificationMembers, read_either_context, read_notification_field,
};
use crate::dialect::body::keys::PIKA_CONTEXT_PREFIX;
use crate::dialect::body::object;
use crate::dialect::error::DecodeError;
use crate::dialect::pika::decode::{choose_context, read_members};
use crate::dialect::pika::properties::CustomSerializers;
use crate::message::context::Context;
use crate::message::notification::{IncomingNotification, OutgoingNotification};

/// Appends the body of a notification.
pub(crate) fn encode<P: Serialize + ?Sized>(
    out: &mut Vec<u8>,
    notification: &OutgoingNotification<'_, P>,
    serialization: &Serialization,
) -> Result<(), WriteError> {
    let context_prefixes = &[PIKA_CONTEXT_PREFIX];
    let members = NotificationMembers { notification, has_unique_id: false, context_prefixes };
    object::encode(out, serialization, || members.count(), &members)
}

/// Reads a notification.
pub(crate) fn decode<'a>(
    body: &'a [u8],
    head: &PropertiesView<'a>,
    serializers: CustomSerializers<'_>,
) -> Result<IncomingNotification<'a>, DecodeError> {
    let mut notification = IncomingNotification::default();
    let mut context = Context::new();
    read_members(body, head, serializers, |key, member| {
        read_notification_field(&mut notification, &key, member, |kombu, member| {
            read_either_context(kombu, &mut context, &key, member)
        })
    })?;
    choose_context(&mut notification.context, context);
    notification.unique_id = notification.unique_id.take().or(head.message_id.map(Into::into));
    Ok(notification)
}
