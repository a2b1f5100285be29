//! What users hold: an engine, its connections, their channels, publishers and consumers.
//!
//! They may be used from any thread and any async runtime; every future of theirs is woken by a
//! waker alone. Not here: what a shard does (`shard`).

pub(crate) mod attach;
pub(crate) mod channel;
pub(crate) mod confirm;
pub(crate) mod connection;
pub(crate) mod consumer;
pub(crate) mod engine;
pub(crate) mod inbox;
pub(crate) mod lease;
pub(crate) mod message;
pub(crate) mod publish_error;
pub(crate) mod publisher;
pub(crate) mod reporting;
pub(crate) mod shards;
