//! A shard: one thread, one runtime and the connections on it. Shards share nothing with one
//! another; there is no global state.
//!
//! `run` is the shard itself. `border` holds what the shard shares with other threads, `connection`
//! the state and the socket of a connection, `recovery` everything that restores a lost connection,
//! channel or consumer, and `operations` the requests of handles. Invariant: a shard calls user
//! code only as a `DeliverySink`, a `FailureSink` or an action of a `Timer`, and these may store,
//! wake or publish without waiting. A panic in foreign code ends that one call and nothing else.

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
