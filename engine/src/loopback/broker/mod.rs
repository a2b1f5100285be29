//! The broker behind the sockets: virtual hosts, exchanges, queues, consumers.

pub(crate) mod consume;
pub(crate) mod deliver;
pub(crate) mod exchange;
pub(crate) mod message;
pub(crate) mod publish;
pub(crate) mod queue;
pub(crate) mod refusal;
pub(crate) mod state;
pub(crate) mod topology;
