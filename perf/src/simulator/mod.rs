//! Both sides of oslo.messaging's load simulator, so that either may be Python's.
//!
//! `message`, `lengths` and `collector` know no driver. `rpc_client` and `rpc_server` are the sides
//! of calls, `notify_client` and `notify_server` those of notifications; `load` is what the clients
//! share and `serving` what the servers share. `broker` connects them, `summary` prints.

mod broker;
mod collector;
mod load;
mod message;
mod monitor;
pub(crate) mod notify_client;
pub(crate) mod notify_server;
pub(crate) mod rpc_client;
pub(crate) mod rpc_server;
mod serving;
mod summary;
