//! Notifications: in the envelope (2.0, oslo's `messagingv2`) or bare (1.0, `messaging`).
//!
//! The payload's keys and their order are the same in both; only the level of nesting differs, so
//! one writer serves both. Readers tell them apart by the envelope's keys.

use serde::Serialize;

use crate::codec::encoded::Encoded;
use crate::codec::json;
use crate::codec::json::{Members, WriteError};
use crate::dialect::body::keys::KOMBU_CONTEXT_PREFIX;
use crate::dialect::body::member::text;
use crate::dialect::body::scratch::Scratch;
use crate::dialect::error::DecodeError;
use crate::dialect::kombu::envelope_reader::{ENVELOPE_CLOSE, ENVELOPE_OPEN, open_envelope};
use crate::message::notification::{IncomingNotification, OutgoingNotification};

/// Appends the body of a notification.
pub(crate) fn encode<P: Serialize + ?Sized>(
    out: &mut Vec<u8>,
    notification: &OutgoingNotification<'_, P>,
    is_enveloped: bool,
) -> Result<(), WriteError> {
    let start = out.len();
    let written = if is_enveloped {
        out.extend_from_slice(ENVELOPE_OPEN);
        let written = write::<1, P>(out, notification);
        out.extend_from_slice(ENVELOPE_CLOSE);
        written
    } else {
        write::<0, P>(out, notification)
    };
    written.inspect_err(|_| out.truncate(start))
}

fn write<const LEVEL: usize, P: Serialize + ?Sized>(
    out: &mut Vec<u8>,
    notification: &OutgoingNotification<'_, P>,
) -> Result<(), WriteError> {
    out.push(b'{');
    push_text::<LEVEL>(out, "message_id", notification.message_id);
    push_text::<LEVEL>(out, "publisher_id", notification.publisher_id);
    push_text::<LEVEL>(out, "event_type", notification.event_type);
    push_text::<LEVEL>(out, "priority", notification.priority.as_upper_str());
    push_key::<LEVEL>(out, "", "payload");
    json::write::<LEVEL, P>(out, notification.payload)?;
    out.extend_from_slice(b", ");
    push_text::<LEVEL>(out, "timestamp", notification.timestamp);
    push_key::<LEVEL>(out, "", "_unique_id");
    push_quoted::<LEVEL>(out, notification.unique_id.as_str());
    for (key, value) in notification.context.iter() {
        out.extend_from_slice(b", ");
        push_key::<LEVEL>(out, KOMBU_CONTEXT_PREFIX, key);
        json::write::<LEVEL, _>(out, value)?;
    }
    out.push(b'}');
    Ok(())
}

/// Appends a member that is text, and the comma before the next.
fn push_text<const LEVEL: usize>(out: &mut Vec<u8>, key: &str, value: &str) {
    push_key::<LEVEL>(out, "", key);
    push_quoted::<LEVEL>(out, value);
    out.extend_from_slice(b", ");
}

fn push_key<const LEVEL: usize>(out: &mut Vec<u8>, prefix: &str, key: &str) {
    out.extend_from_slice(json::quote::<LEVEL>());
    out.extend_from_slice(prefix.as_bytes());
    json::push_text::<LEVEL>(out, key);
    out.extend_from_slice(json::quote::<LEVEL>());
    out.extend_from_slice(b": ");
}

fn push_quoted<const LEVEL: usize>(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(json::quote::<LEVEL>());
    json::push_text::<LEVEL>(out, text);
    out.extend_from_slice(json::quote::<LEVEL>());
}

/// Reads the body of a notification.
pub(crate) fn decode<'a>(
    body: &'a [u8],
    scratch: &'a mut Scratch,
) -> Result<IncomingNotification<'a>, DecodeError> {
    let mut notification = IncomingNotification::default();
    for member in Members::of(open_envelope(body, scratch, Members::of)?)? {
        let (key, value) = member?;
        match &*key {
            "message_id" => notification.message_id = text(value)?,
            "publisher_id" => notification.publisher_id = text(value)?,
            "event_type" => notification.event_type = text(value)?,
            "priority" => notification.priority = text(value)?,
            "payload" => notification.payload = Some(Encoded::json(value.as_bytes())),
            "timestamp" => notification.timestamp = text(value)?,
            "_unique_id" => notification.unique_id = text(value)?,
            key => {
                if let Some(name) = key.strip_prefix(KOMBU_CONTEXT_PREFIX) {
                    notification.context.append(name, Encoded::json(value.as_bytes()));
                }
            }
        }
    }
    notification.context.settle();
    Ok(notification)
}
