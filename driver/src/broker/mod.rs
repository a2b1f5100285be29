//! Drives the engine: opens connections, declares, publishes and consumes, and turns errors of the
//! engine into oslo's. No other folder does.
//!
//! It takes exchanges and queues as plain data and knows no wire format. The engine reconnects,
//! declares again and consumes again.

pub(crate) mod conflict;
pub(crate) mod connections;
pub(crate) mod declare;
pub(crate) mod errors;
pub(crate) mod lease;
#[cfg(feature = "loopback")]
pub(crate) mod loopback;
pub(crate) mod open;
pub(crate) mod open_once;
pub(crate) mod publish;
pub(crate) mod purpose;
pub(crate) mod shared_task;
pub(crate) mod stream_sink;
pub(crate) mod subscriber;
