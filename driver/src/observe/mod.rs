//! How a transport is doing: its counters, readings of them, and where they are sent.
//!
//! `counters` is written on hot paths and takes neither lock nor memory there; `health` and
//! `metrics` are what users read. Not here: what is counted when (`rpc`, `notify`), and the text
//! other systems scrape (`prometheus`).

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
