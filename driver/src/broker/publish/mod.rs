//! Publishing: connections, routes, and what has to be declared before a message is published.
//!
//! `pool` holds the `connection`s of one purpose. A `route` publishes to one exchange and routing
//! key. `declarations` declares its `prerequisite` once, `anchored_exchanges` prevents auto-delete
//! exchanges from being deleted, `body` is what is published.

pub(crate) mod anchored_exchanges;
pub(crate) mod body;
pub(crate) mod connection;
mod declarations;
pub(crate) mod pool;
mod prerequisite;
pub(crate) mod route;
