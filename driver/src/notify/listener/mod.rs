//! The listener: consumes queues of notifications and gives them to endpoints.
//!
//! `listener` is what users hold, `processor` handles a delivery, `batcher` makes batches,
//! `failed_attempts` counts failures, `endpoint` and `filter` describe what the user wants.

pub(crate) mod batcher;
pub(crate) mod endpoint;
pub(crate) mod failed_attempts;
pub(crate) mod filter;
pub(crate) mod listener;
pub(crate) mod processor;
pub(crate) mod received;
pub(crate) mod stats;
pub(crate) mod verdict;
