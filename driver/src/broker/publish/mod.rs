//! Publishing: connections, routes, and what has to be declared before a message is published.
//!
//! `pool` holds the `connection`s of one purpose. A `route` is a rendered way to one exchange and
//! routing key. `declarations` declares its `prerequisite` once, `anchored_exchanges` keeps
//! exchanges that would go with their last binding, `body` is what is published.

pub(crate) mod anchored_exchanges;
pub(crate) mod body;
pub(crate) mod connection;
mod declarations;
pub(crate) mod pool;
mod prerequisite;
pub(crate) mod route;
