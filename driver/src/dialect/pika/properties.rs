//! The properties of messages, written and read.

use std::sync::Arc;
use std::time::Duration;

use leveret_engine::wire::PropertiesView;
use leveret_engine::{AMQPValue, FieldTable, Properties};

use crate::codec::serialization::{BodySerializer, Serialization};
use crate::dialect::error::DecodeError;
use crate::dialect::expiration::with_expiration;
use crate::message::ids::Hex32;

/// The header with the version of the format.
const VERSION_HEADER: &str = "version";
/// The version that the old driver and we write.
const VERSION: &str = "1.0";
/// The delivery mode of messages that a restart of RabbitMQ loses.
const TRANSIENT: u8 = 1;
/// The delivery mode of persistent messages: they survive a restart of RabbitMQ in a durable queue.
const PERSISTENT: u8 = 2;

/// The placeholder for an identifier, which a publisher replaces in each message.
pub(in crate::dialect) const ID_PLACEHOLDER: &str = "00000000000000000000000000000000";

/// Returns the properties of a message, with a placeholder for its id.
pub(crate) fn message(serialization: &Serialization, persistent: bool) -> Properties {
    Properties::new()
        .with_content_type(serialization.content_type())
        .with_headers(version_header())
        .with_delivery_mode(if persistent { PERSISTENT } else { TRANSIENT })
        .with_message_id(ID_PLACEHOLDER)
}

/// Returns the header with the version of the format.
pub(crate) fn version_header() -> FieldTable {
    let mut headers = FieldTable::default();
    headers.insert(VERSION_HEADER.into(), AMQPValue::LongString(VERSION.into()));
    headers
}

/// Returns the properties of a request. A call has its reply queue, and expires at its timeout.
pub(crate) fn request(serialization: &Serialization, call: Option<(Duration, &str)>) -> Properties {
    with_call(message(serialization, false), call)
}

/// Adds the properties of a call, if the request is one, with a placeholder for the call's id.
pub(in crate::dialect) fn with_call(
    properties: Properties,
    call: Option<(Duration, &str)>,
) -> Properties {
    let Some((timeout, reply_queue)) = call else { return properties };
    let properties = properties.with_correlation_id(ID_PLACEHOLDER).with_reply_to(reply_queue);
    with_expiration(properties, Some(timeout))
}

/// Returns the properties of a reply, whose caller waits for `left`.
pub(crate) fn reply(
    serialization: &Serialization,
    correlation_id: &str,
    message_id: Hex32,
    left: Option<Duration>,
) -> Properties {
    with_call_ids(message(serialization, false), correlation_id, message_id, left)
}

/// Returns the properties of a reply that is sent again, with its content type.
pub(crate) fn repeated_reply(
    content_type: &str,
    correlation_id: &str,
    message_id: Hex32,
    left: Option<Duration>,
) -> Properties {
    let properties = message(&Serialization::Json, false).with_content_type(content_type);
    with_call_ids(properties, correlation_id, message_id, left)
}

fn with_call_ids(
    properties: Properties,
    correlation_id: &str,
    message_id: Hex32,
    left: Option<Duration>,
) -> Properties {
    let properties =
        properties.with_correlation_id(correlation_id).with_message_id(message_id.as_str());
    with_expiration(properties, left)
}

/// The user's serializers, for reading other content types than JSON and msgpack.
pub(crate) type CustomSerializers<'a> = &'a [Arc<dyn BodySerializer>];

/// Whether a message has the header with a version of this format.
pub(crate) fn is_versioned(head: &PropertiesView<'_>) -> bool {
    head.headers.is_some_and(|headers| headers.get(VERSION_HEADER).is_some())
}

/// Refuses a message of another major version, or without headers. Headers without a version are
/// accepted, as in oslo.
pub(crate) fn check_version(head: &PropertiesView<'_>) -> Result<(), DecodeError> {
    let headers = head.headers.ok_or(DecodeError::NoHeaders)?;
    let Some(version) = headers.get(VERSION_HEADER) else { return Ok(()) };
    let text = version.as_str().unwrap_or("that is no text");
    match text.split_once('.').map_or(text, |(major, _)| major) {
        "1" => Ok(()),
        _ => Err(DecodeError::PikaVersion(text.chars().take(32).collect())),
    }
}

/// Returns the serialization that the content type of a message names.
pub(super) fn serialization(
    head: &PropertiesView<'_>,
    serializers: CustomSerializers<'_>,
) -> Result<Serialization, DecodeError> {
    let content_type = head.content_type.unwrap_or_default();
    Serialization::from_content_type(content_type, serializers)
        .ok_or_else(|| DecodeError::UnknownType(content_type.to_owned()))
}
