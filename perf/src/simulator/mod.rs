//! Both sides of oslo.messaging's load simulator, so that either may be Python's.
//!
//! `message`, `lengths` and `collector` know no driver. `client` and `server` are the sides of
//! calls, `notify_client` and `notify_server` those of notifications. `broker` connects them,
//! `summary` prints.

mod broker;
pub(crate) mod client;
mod collector;
mod lengths;
mod message;
mod monitor;
pub(crate) mod notify_client;
pub(crate) mod notify_server;
pub(crate) mod server;
mod serving;
mod summary;
