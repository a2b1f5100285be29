//! The wire formats of oslo.messaging: bodies, properties, exchanges and queues.
//!
//! `wire` is the seam: the rest of the driver asks [`Wire`](wire::Wire) every question about form
//! and names no dialect. `kombu` is the format of oslo's `rabbit` driver, `pika` that of its old
//! `pika` driver, `both` a format that both read. `format` encodes what is sent, `incoming` reads
//! what was delivered, `queues` names what servers and listeners consume from, `replies` says how
//! a reply travels. Nothing here talks to a broker, and nothing here waits.

pub(crate) mod body;
mod both;
mod encode;
pub(crate) mod error;
mod expiration;
pub(crate) mod format;
pub(crate) mod incoming;
pub(crate) mod kombu;
mod names;
pub(crate) mod peek;
mod pika;
pub(crate) mod queues;
pub(crate) mod replies;
pub(crate) mod wire;
