//! The baselines: frames rendered by hand over blocking sockets. A client that does more cannot be
//! much faster.
//!
//! `raw` does a workload of the driver without an oslo message: a plain body to the same kind of
//! queue, or a request answered with its own body. `raw-kombu` does it with everything that
//! oslo.messaging's `rabbit` driver makes the broker do for a message, so that a ratio to it shows
//! the cost of a client and not that of the dialect.

pub(crate) mod baseline;
pub(crate) mod client;
mod envelope;
mod frames;
mod incoming;
mod message_style;
mod one_way;
mod refusal;
mod rpc;
