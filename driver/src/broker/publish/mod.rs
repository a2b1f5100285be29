//! Publishing: connections, routes and what has to be declared before a message is published.

pub(crate) mod anchored_exchanges;
pub(crate) mod body;
pub(crate) mod pool;
pub(crate) mod prerequisite;
pub(crate) mod publisher;
