//! The listener: consumes queues of notifications and gives them to endpoints.
//!
//! `listener` is what users hold, `processor` handles a delivery, `batcher` makes batches,
//! `failed_attempts` counts failures, `endpoint` and `filter` describe what the user wants.

mod batcher;
pub(crate) mod builder;
pub(crate) mod endpoint;
mod failed_attempts;
pub(crate) mod filter;
pub(crate) mod listener;
mod processor;
pub(crate) mod received;
mod sink;
pub(crate) mod stats;
pub(crate) mod verdict;
