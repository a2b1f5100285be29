//! Handles: an engine, its connections, their channels, publishers and consumers.
//!
//! Any thread and any async runtime may use them; their futures need only a waker. The shard side
//! is in `shard`.

pub(crate) mod channel;
pub(crate) mod confirm;
pub(crate) mod connection;
pub(crate) mod consumer;
mod embedded;
pub(crate) mod engine;
pub(crate) mod inbox;
pub(crate) mod lease;
pub(crate) mod message;
pub(crate) mod publish_error;
pub(crate) mod publisher;
pub(crate) mod reporting_publisher;
pub(crate) mod route;
pub(crate) mod shards;
