//! The options of a transport, as plain data.

pub(crate) mod acknowledgements;
pub(crate) mod connection;
pub(crate) mod dialects;
pub(crate) mod entities;
pub(crate) mod factory;
pub(crate) mod metrics;
pub(crate) mod notifications;
pub(crate) mod pika;
pub(crate) mod recovery;
pub(crate) mod stable_names;
pub(crate) mod tls;
