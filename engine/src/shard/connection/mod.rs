//! A connection on its shard: its state, its channels and its socket.

pub(crate) mod channel_state;
pub(crate) mod channels;
pub(crate) mod closing;
pub(crate) mod consumer;
pub(crate) mod deliveries;
pub(crate) mod events;
pub(crate) mod exception_cause;
pub(crate) mod fingerprint;
pub(crate) mod in_flight;
pub(crate) mod log_limit;
pub(crate) mod methods;
pub(crate) mod publications;
pub(crate) mod reopen_policy;
pub(crate) mod requests;
pub(crate) mod socket;
pub(crate) mod spare_segments;
pub(crate) mod state;
pub(crate) mod tasks;
pub(crate) mod topology;
pub(crate) mod watchdog;
