//! How load is made: worker threads that count what they do, and the schedule of an open loop.

pub(crate) mod pacer;
pub(crate) mod workers;
