//! A connection on its shard: its state, its channels and its socket.

pub(crate) mod channel;
pub(crate) mod channels;
pub(crate) mod closing;
pub(crate) mod events;
pub(crate) mod log_limit;
pub(crate) mod methods;
pub(crate) mod requests;
pub(crate) mod socket;
pub(crate) mod state;
pub(crate) mod tasks;
pub(crate) mod topology;
pub(crate) mod watchdog;
