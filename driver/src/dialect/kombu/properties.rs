//! The properties of every message, and the check of those that came.

use std::time::Duration;

use leveret_engine::{FieldTable, Properties};

use crate::dialect::error::DecodeError;
use crate::dialect::expiration::with_expiration;

/// What every message of this dialect says about its content.
const CONTENT_TYPE: &str = "application/json";
/// The character set, likewise.
const CONTENT_ENCODING: &str = "utf-8";
/// Messages survive a restart of the broker, where their queue does.
const PERSISTENT: u8 = 2;

/// The properties of every message; a request that wants an answer expires with its caller's
/// patience, so that the broker drops what nobody waits for any more.
pub(crate) fn message(call_timeout: Option<Duration>) -> Properties {
    let properties = Properties::new()
        .with_content_type(CONTENT_TYPE)
        .with_content_encoding(CONTENT_ENCODING)
        .with_headers(FieldTable::default())
        .with_delivery_mode(PERSISTENT)
        .with_priority(0);
    with_expiration(properties, call_timeout)
}

/// Refuses what cannot be JSON text by its own account.
pub(crate) fn check_content(content_type: Option<&str>) -> Result<(), DecodeError> {
    if content_type != Some(CONTENT_TYPE) {
        return Err(DecodeError::ContentType(content_type.unwrap_or_default().to_owned()));
    }
    Ok(())
}
