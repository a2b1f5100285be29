//! Notifications: sent by a notifier, received by listeners, in queues named after topic and
//! priority.
//!
//! `notifier` sends through its `driver`s, `routing` chooses among them, `log` writes instead of
//! sending, `mask` hides secrets, `layer` makes notifications of log events. `listener` is what a
//! user starts, `intake` what happens to a delivery (`gather` makes batches, `attempts` counts
//! failures), `endpoint` what the user's code looks like, `filter` what it wants to see. Nothing
//! here knows `rpc`.

mod attempts;
pub(crate) mod driver;
pub(crate) mod endpoint;
pub(crate) mod filter;
pub(crate) mod fnmatch;
mod gather;
mod intake;
#[cfg(feature = "log-handler")]
pub(crate) mod layer;
pub(crate) mod listener;
mod log;
mod mask;
pub(crate) mod notification;
pub(crate) mod notifier;
pub(crate) mod received;
pub(crate) mod routing;
pub(crate) mod stats;
pub(crate) mod verdict;
