//! RPC: calls and casts of clients, and the servers that run them.
//!
//! `client` and `server` meet only on the wire, and in `serialized`.

pub(crate) mod client;
pub(crate) mod serialized;
pub(crate) mod server;
