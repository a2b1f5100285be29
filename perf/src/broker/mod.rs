//! Brokers and other peers that subjects talk to: their addresses, and those inside this process.

pub(crate) mod address;
pub(crate) mod in_process;
pub(crate) mod tls_sink;
