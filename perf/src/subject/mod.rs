//! The client libraries that are measured: Leveret in its variants, and the clients beside it.
//!
//! `job` says what the suite asks of them, and `name` how the command line calls them.

#[cfg(feature = "peers")]
pub(crate) mod amqprs;
pub(crate) mod clients;
pub(crate) mod job;
#[cfg(feature = "peers")]
pub(crate) mod lapin;
pub(crate) mod leveret;
pub(crate) mod name;
pub(crate) mod raw;
#[cfg(feature = "peers")]
mod tokio_client;
