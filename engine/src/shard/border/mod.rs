//! What the handles of a connection and its shard share across threads.

pub(crate) mod acks;
pub(crate) mod block_on;
pub(crate) mod consumer_status;
pub(crate) mod delivery;
pub(crate) mod doorbell;
pub(crate) mod outbox;
pub(crate) mod shared;
pub(crate) mod sink;
pub(crate) mod slab;
pub(crate) mod status;
pub(crate) mod tickets;
pub(crate) mod tracked_status;
