//! The client libraries that are measured: Leveret in its configurations, and the clients beside
//! it.
//!
//! `job` defines what the suite asks of them, and `name` their names on the command line.

#[cfg(feature = "peers")]
pub(crate) mod amqprs;
pub(crate) mod binary;
pub(crate) mod job;
#[cfg(feature = "peers")]
pub(crate) mod lapin;
pub(crate) mod leveret;
pub(crate) mod name;
pub(crate) mod nothing;
pub(crate) mod oslo;
pub(crate) mod promises;
pub(crate) mod raw;
pub(crate) mod start;
#[cfg(feature = "peers")]
mod tokio_client;
