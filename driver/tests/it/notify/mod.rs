//! Notifications between our own notifiers and listeners.

pub(crate) mod delivery;
mod failing;
