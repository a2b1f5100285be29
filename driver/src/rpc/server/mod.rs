//! The server: queues, the sink on the shard, and the processor that runs requests.
//!
//! `server` is what users hold, `sink` takes deliveries, `processor` decodes, runs and answers
//! them, `dispatcher` chooses the method of an `endpoint`.

pub(crate) mod access;
pub(crate) mod dispatcher;
pub(crate) mod endpoint;
pub(crate) mod heartbeat;
pub(crate) mod incoming;
pub(crate) mod ping;
pub(crate) mod processor;
pub(crate) mod queues;
pub(crate) mod server;
pub(crate) mod sink;
pub(crate) mod stats;
