//! The server: queues, the sink on the shard, and the processor that runs requests.
//!
//! `server` is what users hold, `sink` takes deliveries, `processor` decodes, runs and answers
//! them, `dispatcher` chooses the method of an `endpoint`.

pub(crate) mod access;
pub(crate) mod builder;
mod dispatcher;
mod drain;
pub(crate) mod endpoint;
mod failure_log;
mod heartbeat;
mod incoming_delivery;
pub(crate) mod method;
mod ping;
mod processor;
pub(crate) mod server;
mod sink;
pub(crate) mod stats;
