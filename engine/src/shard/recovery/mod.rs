//! Restores what was lost: the connection, its channels, its consumers and its declarations.

pub(crate) mod audit;
pub(crate) mod connect;
pub(crate) mod connector;
pub(crate) mod hosts;
pub(crate) mod login;
pub(crate) mod reconnect;
pub(crate) mod recover;
#[cfg(feature = "tls")]
pub(crate) mod secure;
pub(crate) mod verify_queues;
