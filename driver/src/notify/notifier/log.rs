//! The driver `log`: a notification becomes an event of `tracing`.

use crate::message::priority::Priority;
use crate::notify::notification::Notification;
use crate::notify::notifier::mask;

/// The target of such events, for subscribers to filter by.
const TARGET: &str = "leveret::notification";

/// Runs `$then` with the level of a priority, a constant as `tracing` needs it.
macro_rules! at_level_of {
    ($priority:expr, $then:ident) => {
        match $priority {
            Priority::Debug => $then!(DEBUG),
            Priority::Audit | Priority::Info | Priority::Sample => $then!(INFO),
            Priority::Warn => $then!(WARN),
            Priority::Error | Priority::Critical => $then!(ERROR),
        }
    };
}

/// Whether a subscriber takes events of this priority.
pub(crate) fn is_wanted(priority: Priority) -> bool {
    macro_rules! enabled {
        ($level:ident) => {
            tracing::enabled!(target: TARGET, tracing::Level::$level)
        };
    }
    at_level_of!(priority, enabled)
}

/// Logs a notification with its secrets masked.
pub(crate) fn write(notification: &Notification) {
    let mut value = notification.to_value();
    mask::mask(&mut value);
    let event_type = notification.event_type.as_str();
    macro_rules! event {
        ($level:ident) => {
            tracing::event!(
                name: "leveret.notification.logged", target: TARGET, tracing::Level::$level,
                event_type, notification = %value
            )
        };
    }
    at_level_of!(notification.priority, event);
}
