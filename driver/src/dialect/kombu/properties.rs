//! The properties of messages, and the check of a received content type.

use std::time::Duration;

use leveret_engine::{FieldTable, Properties};

use crate::dialect::error::DecodeError;
use crate::dialect::expiration::with_expiration;

/// The content type of every message.
const CONTENT_TYPE: &str = "application/json";
/// The content encoding of every message; kombu has the character set there.
const CONTENT_ENCODING: &str = "utf-8";
/// The delivery mode of persistent messages: they survive a restart of RabbitMQ in a durable queue.
const PERSISTENT: u8 = 2;

/// Returns the properties of a message. A call expires at its timeout, so that RabbitMQ drops it
/// when its caller has stopped waiting.
pub(crate) fn message(call_timeout: Option<Duration>) -> Properties {
    let properties = Properties::new()
        .with_content_type(CONTENT_TYPE)
        .with_content_encoding(CONTENT_ENCODING)
        .with_headers(FieldTable::default())
        .with_delivery_mode(PERSISTENT)
        .with_priority(0);
    with_expiration(properties, call_timeout)
}

/// Refuses a body whose content type is not JSON.
pub(crate) fn check_content(content_type: Option<&str>) -> Result<(), DecodeError> {
    if content_type != Some(CONTENT_TYPE) {
        return Err(DecodeError::ContentType(content_type.unwrap_or_default().to_owned()));
    }
    Ok(())
}
