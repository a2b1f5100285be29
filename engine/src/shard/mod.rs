//! A shard: one thread, one runtime, its connections. No shard talks to another, and nothing is
//! global.
//!
//! `run` is the shard itself, `border` what it shares with other threads, `connection` the state
//! and the socket of one connection, `recovery` what brings lost things back, `operations` what
//! handles ask of a connection. Invariant: user code runs on a shard only as a `DeliverySink`, a
//! `RefusalSink` or an action of a `Timer`, which may store and wake; where foreign code panics,
//! that ends what it was called for and nothing else.

pub(crate) mod border;
pub(crate) mod clock;
pub(crate) mod connection;
pub(crate) mod operations;
pub(crate) mod panics;
pub(crate) mod placement;
pub(crate) mod recovery;
pub(crate) mod run;
pub(crate) mod stats;
#[cfg(test)]
mod tests;
pub(crate) mod timer;
pub(crate) mod wheel;
