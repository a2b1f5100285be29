//! Calls, casts and servers: joins a dialect with the broker's side and with user code.
//!
//! The client's half is `client`, `call`, `cast`, `replies`; the server's is `server`,
//! `dispatcher`, `endpoint`, `monitor`, `serving`. The two halves meet only on the wire.

mod call;
mod cast;
pub(crate) mod client;
mod dispatcher;
pub(crate) mod endpoint;
mod monitor;
pub(crate) mod server;
mod serving;
