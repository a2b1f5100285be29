//! Transports: what clients and servers of one URL share.

pub(crate) mod builder;
pub(crate) mod incoming;
pub(crate) mod intake_limit;
pub(crate) mod name_counter;
pub(crate) mod observing;
pub(crate) mod pending_calls;
pub(crate) mod queue_names;
pub(crate) mod reply_queue;
pub(crate) mod reply_sender;
pub(crate) mod reply_watchdog;
pub(crate) mod roads;
pub(crate) mod transport;
