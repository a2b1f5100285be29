//! A process of the fleet: this program in a hidden mode, as a client or as a server.

pub(crate) mod client;
pub(crate) mod environment;
pub(crate) mod health;
pub(crate) mod run;
pub(crate) mod server;
