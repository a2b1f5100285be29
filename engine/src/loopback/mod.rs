//! A small AMQP 0-9-1 broker inside the process, on a real socket.
//!
//! It is for tests of applications, which then need no installed broker; for the perf suite, as a
//! target that costs little; and for this engine's tests, as a peer with scripted faults
//! ([`Script`]). [`Sink`] and [`Source`] are two simpler peers: one only counts, the other only
//! sends.
//!
//! It supports: PLAIN and AMQPLAIN; virtual hosts; direct, topic and fanout exchanges; queues with
//! `x-max-length` (drop-head), `x-expires`, `x-message-ttl`, per-message expiration, exclusive and
//! auto-delete; mandatory returns; publisher confirms; prefetch, acks, rejects, requeues, get;
//! round-robin consumers; heartbeats; blocked connections; RabbitMQ's refusals with its codes.
//!
//! It does not support: storage on disk (durable and persistent are only settings), clusters, TLS,
//! permissions, transactions, dead lettering, priorities, headers exchanges, bindings between
//! exchanges, streams. A queue without `x-max-length` grows without limit. It shares the codec with
//! the engine, so the agreement of the two proves nothing about the codec.
//!
//! # How it works
//!
//! One lock guards all state. Each connection has a reader thread, which takes the lock once per
//! batch of frames, and a writer thread, which works only when the socket is full.
//!
//! ```
//! use leveret_engine::loopback::{Loopback, LoopbackConfig};
//! let loopback = Loopback::start(LoopbackConfig::default()).unwrap();
//! println!("{}", loopback.url()); // amqp://guest:guest@127.0.0.1:…/%2f
//! loopback.stop();
//! ```

pub(crate) mod broker;
pub(crate) mod canned;
pub(crate) mod clock;
pub(crate) mod config;
pub(crate) mod connection;
pub(crate) mod faults;
pub(crate) mod peer_server;
pub(crate) mod server;
pub(crate) mod shared;
pub(crate) mod sink;
pub(crate) mod source;
#[cfg(test)]
mod tests;

pub use config::{LoopbackConfig, LoopbackStats, RefusedDeclare, Script};
pub use server::Loopback;
pub use sink::Sink;
pub use source::Source;
