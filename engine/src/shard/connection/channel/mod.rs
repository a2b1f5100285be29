//! A channel on its shard: its state, what it publishes, what it receives.

pub(crate) mod consumer;
pub(crate) mod deliveries;
pub(crate) mod exception_cause;
pub(crate) mod fingerprint;
pub(crate) mod in_flight;
pub(crate) mod publications;
pub(crate) mod reopen_policy;
pub(crate) mod spare_segments;
pub(crate) mod state;
