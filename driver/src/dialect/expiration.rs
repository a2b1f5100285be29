//! The expiration of a message: how long its receiver can use it.

use std::time::Duration;

use leveret_engine::Properties;
use leveret_engine::wire::PropertiesView;

/// Returns `properties` with an expiration of `left`; RabbitMQ drops the message after it.
///
/// RabbitMQ accepts at most 2^32 - 1 milliseconds and closes the channel over more, so a longer
/// time is left out.
pub(super) fn with_expiration(properties: Properties, left: Option<Duration>) -> Properties {
    match left.map(|left| left.as_millis()) {
        Some(left_ms) if left_ms <= u32::MAX.into() => {
            properties.with_expiration(left_ms.to_string())
        }
        _ => properties,
    }
}

/// Reads the expiration, counted from when the message was sent.
pub(super) fn expiration(head: &PropertiesView<'_>) -> Option<Duration> {
    head.expiration?.parse().ok().map(Duration::from_millis)
}
