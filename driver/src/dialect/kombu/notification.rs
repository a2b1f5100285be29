//! Notifications: in the envelope (2.0, oslo's `messagingv2`) or without one (1.0, `messaging`).
//!
//! The keys of the payload and their order are the same in both. Readers tell them apart by the
//! keys of the envelope.

use serde::Serialize;

use crate::codec::error::WriteError;
use crate::codec::json::Members;
use crate::dialect::body::fields::{
    NotificationMembers, read_kombu_context, read_notification_field,
};
use crate::dialect::body::keys::KOMBU_CONTEXT_PREFIX;
use crate::dialect::body::object::encode_json;
use crate::dialect::body::scratch::Scratch;
use crate::dialect::error::DecodeError;
use crate::dialect::kombu::encode::encode_enveloped;
use crate::dialect::kombu::envelope_reader::open_envelope;
use crate::message::notification::{IncomingNotification, OutgoingNotification};

/// Appends the body of a notification.
pub(crate) fn encode<P: Serialize + ?Sized>(
    out: &mut Vec<u8>,
    notification: &OutgoingNotification<'_, P>,
    is_enveloped: bool,
) -> Result<(), WriteError> {
    let context_prefixes = &[KOMBU_CONTEXT_PREFIX];
    let members = NotificationMembers { notification, has_unique_id: true, context_prefixes };
    match is_enveloped {
        true => encode_enveloped(out, &members),
        false => encode_json::<0, _>(out, &members),
    }
}

/// Reads the body of a notification.
pub(crate) fn decode<'a>(
    body: &'a [u8],
    scratch: &'a mut Scratch,
) -> Result<IncomingNotification<'a>, DecodeError> {
    let mut notification = IncomingNotification::default();
    for member in Members::new(open_envelope(body, scratch, Members::new)?)? {
        let (key, value) = member?;
        read_notification_field(&mut notification, &key, value, |context, value| {
            read_kombu_context(context, &key, value)
        })?;
    }
    notification.context.dedup_keys();
    Ok(notification)
}
