//! Counters, health and metrics of a transport, and the formats that export them.
//!
//! Hot paths write `counters` without a lock and without an allocation. Users read `health` and
//! `metrics`. `rpc` and `notify` decide what is counted when.

pub(crate) mod collector;
pub(crate) mod counters;
pub(crate) mod health;
pub(crate) mod histogram;
pub(crate) mod intake;
pub(crate) mod metrics;
#[cfg(feature = "prometheus")]
pub(crate) mod prometheus;
pub(crate) mod report;
pub(crate) mod spans;
