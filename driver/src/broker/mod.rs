//! The only folder that drives the engine: declares, publishes, consumes, and says what went wrong.
//!
//! It speaks of queues and exchanges as a dialect describes them and knows no format. Reconnecting,
//! declaring again and consuming again are the engine's work.

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
pub(crate) mod shared_task;
pub(crate) mod stream_sink;
pub(crate) mod subscriber;
