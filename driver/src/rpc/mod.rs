//! Calls, casts and servers: joins a dialect with the broker's side and with user code.
//!
//! The client's half is `client`, `call`, `cast`, `underway`; the server's is `server`, `serving`,
//! `dispatcher`, `endpoint`, `access`, `ping`, `monitor`. The two meet only on the wire,
//! and in `serialized`.

pub(crate) mod access;
mod call;
mod cast;
pub(crate) mod client;
mod dispatcher;
pub(crate) mod endpoint;
pub(crate) mod incoming;
mod monitor;
mod ping;
pub(crate) mod serialized;
mod served;
pub(crate) mod server;
mod serving;
pub(crate) mod sink;
pub(crate) mod stats;
mod underway;
mod way;
