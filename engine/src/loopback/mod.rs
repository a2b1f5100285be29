//! A small AMQP 0-9-1 broker inside the process, on a real socket.
//!
//! It serves three: programs' own tests, which need a broker and want none installed; the perf
//! suite, as a target that costs little; and this engine's tests, as a peer whose faults can be
//! scripted ([`Script`]). [`Sink`] and [`Source`] are two simpler peers that only count and only
//! send.
//!
//! What it has: PLAIN and AMQPLAIN; virtual hosts; direct, topic and fanout exchanges; queues with
//! `x-max-length` (drop-head), `x-expires`, `x-message-ttl`, per-message expiration, exclusive and
//! auto-delete; mandatory returns; publisher confirms; prefetch, acks, rejects, requeues, get;
//! consumers in turn; heartbeats; blocked connections; RabbitMQ's refusals with its codes.
//!
//! What it is not: it keeps nothing on disk (durable and persistent are only remembered as
//! settings), has no cluster, no TLS, no permissions, no transactions, no dead lettering, no
//! priorities, no headers exchange, no bindings between exchanges, no streams. A queue without
//! `x-max-length` grows as memory lasts. It shares the codec with the engine, so what the two
//! agree on is not proven by their agreement.
//!
//! # How it works
//!
//! One lock guards everything. Each connection has a reader thread, which takes the
//! lock once per batch of frames, and a writer thread, which only works when the socket is full.
//!
//! ```
//! use leveret_engine::loopback::{Loopback, LoopbackConfig};
//! let loopback = Loopback::start(LoopbackConfig::default()).unwrap();
//! println!("{}", loopback.url()); // amqp://guest:guest@127.0.0.1:…/%2f
//! loopback.stop();
//! ```

pub(crate) mod broker;
pub(crate) mod clock;
pub(crate) mod config;
pub(crate) mod connection;
pub(crate) mod faults;
pub(crate) mod puppet;
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
