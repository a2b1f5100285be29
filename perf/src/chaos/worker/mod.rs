//! A process of the fleet, as this program is one: a client or a server in a hidden mode.

pub(crate) mod client;
pub(crate) mod environment;
pub(crate) mod health;
pub(crate) mod run;
pub(crate) mod server;
