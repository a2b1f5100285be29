//! Notifications: sent by a notifier, received by listeners, in queues named after topic and
//! priority.

pub(crate) mod listener;
pub(crate) mod notification;
pub(crate) mod notifier;
