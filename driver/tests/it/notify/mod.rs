//! Notifications between Leveret's notifiers and listeners.

pub(crate) mod delivery;
mod failing;
mod requeue;
