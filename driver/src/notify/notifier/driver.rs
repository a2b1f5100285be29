//! The drivers of a notifier: notifications go to the broker in one of two formats, to a log, to a
//! test, to the user's own code, or by a routing file to several of these.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use regex::Regex;

use crate::error::{Error, ErrorKind};
use crate::notify::notification::Notification;

/// What a [`Notifier`](crate::Notifier) does with a notification; named as in oslo's option
/// `driver`.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum NotificationDriver {
    /// `messaging`: publishes without an envelope (version 1.0).
    Messaging,
    /// `messagingv2`: publishes in the envelope of version 2.0.
    MessagingV2,
    /// `log`: an event of `tracing` with target `leveret::notification`, the notification as JSON
    /// in its field `notification`, secrets masked. Its level is the priority's; `audit` and
    /// `sample` are logged as `info` (oslo logs neither), `critical` as `error`.
    Log,
    /// `noop`: does nothing.
    Noop,
    /// `test`: keeps notifications in memory for a test.
    Test(TestNotifications),
    /// `routing`: the drivers that a file of rules selects for a notification.
    Routing(Routing),
    /// The user's own driver.
    Custom(Arc<dyn Notify>),
}

/// A driver of the user's own.
pub trait Notify: fmt::Debug + Send + Sync {
    /// Takes a notification. Runs on the thread that notifies and should not block it.
    fn notify(&self, notification: &Notification);
}

/// Notifications kept for a test (oslo's driver `test`); clones share them.
///
/// ```
/// use leveret::{NotificationDriver, Notifier, Priority, TestNotifications, Transport};
///
/// # fn main() -> Result<(), leveret::Error> {
/// let transport = Transport::connect_blocking("fake://")?;
/// let seen = TestNotifications::default();
/// let notifier = Notifier::builder(&transport)
///     .publisher_id("compute.host1")
///     .driver(NotificationDriver::Test(seen.clone()))
///     .build();
/// notifier.info_blocking((), "instance.create.end", &serde_json::json!({"id": 7}))?;
/// let all = seen.take();
/// assert_eq!((all[0].priority, &all[0].payload["id"]), (Priority::Info, &7.into()));
/// transport.close_blocking()
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct TestNotifications(Arc<Mutex<Vec<Notification>>>);

impl TestNotifications {
    /// Returns what was sent since the last call, in order (oslo: `NOTIFICATIONS` and `reset()`).
    pub fn take(&self) -> Vec<Notification> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn push(&self, notification: Notification) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(notification);
    }
}

impl NotificationDriver {
    /// Whether it takes the notification as a value, not as bytes.
    pub(crate) const fn is_local(&self) -> bool {
        matches!(self, Self::Log | Self::Test(_) | Self::Custom(_))
    }
}

/// Parses the name of a driver in oslo's option; `test` starts empty, `routing` needs a file and
/// has no text.
impl FromStr for NotificationDriver {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        match name {
            "messaging" => Ok(Self::Messaging),
            "messagingv2" => Ok(Self::MessagingV2),
            "log" => Ok(Self::Log),
            "noop" => Ok(Self::Noop),
            "test" => Ok(Self::Test(TestNotifications::default())),
            other => Err(Error::new(
                ErrorKind::DriverLoadFailure,
                format!(
                    "Failed to load notification driver \"{other}\": known drivers are messaging, \
                     messagingv2, routing, log, noop and test"
                ),
            )),
        }
    }
}

/// Rules that select drivers by event type and priority.
///
/// ```
/// use leveret::NotificationRouting;
///
/// # fn main() -> Result<(), leveret::Error> {
/// let routing: NotificationRouting = "
/// for_operators:
///   messagingv2:
///     accepted_events: ['compute.*', 'volume.[ac]*']
///     accepted_priorities: [error, critical]
///   log: {}
/// ".parse()?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Routing {
    pub(crate) entries: Vec<Entry>,
}

#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) driver: NotificationDriver,
    pub(crate) name: String,
    /// `None` accepts all.
    pub(crate) events: Option<Vec<Regex>>,
    pub(crate) priorities: Option<Vec<Regex>>,
}
