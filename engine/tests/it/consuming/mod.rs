//! Consuming: acknowledgements, prefetch, flow control, messages above the limit.

mod acknowledgements;
mod flow_control;
mod oversized;
mod oversized_sink;
pub(crate) mod scenario;
mod streams;
