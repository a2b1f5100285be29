//! The driver `log`: a notification becomes an event of `tracing`.

use super::mask;
use super::notification::Notification;
use crate::message::priority::Priority;

/// The target of such events, for subscribers to filter by.
const TARGET: &str = "leveret::notification";

/// Writes a notification, its secrets masked.
pub(super) fn write(notification: &Notification) {
    let mut value = notification.to_value();
    mask::mask(&mut value);
    let event_type = notification.event_type.as_str();
    macro_rules! event {
        ($level:ident) => {
            tracing::event!(
                target: TARGET, tracing::Level::$level, event_type, notification = %value
            )
        };
    }
    match notification.priority {
        Priority::Debug => event!(DEBUG),
        Priority::Audit | Priority::Info | Priority::Sample => event!(INFO),
        Priority::Warn => event!(WARN),
        Priority::Error | Priority::Critical => event!(ERROR),
    }
}
