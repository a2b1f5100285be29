//! Where user code runs and what runs later: worker threads, timers, shutdown, and seen ids.

pub(crate) mod dedup;
pub(crate) mod executor;
pub(crate) mod in_flight;
pub(crate) mod panics;
pub(crate) mod runner;
pub(crate) mod shutdown;
pub(crate) mod timer;
pub(crate) mod workers;
