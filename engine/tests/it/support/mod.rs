//! Shared by all tests: connections, a scripted peer, and the log of the engine.

pub(crate) mod log;
pub(crate) mod peer;
pub(crate) mod setup;
