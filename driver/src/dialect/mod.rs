//! The wire formats of oslo.messaging: bodies, properties, exchanges and queues.
//!
//! The rest of the driver asks [`Wire`](wire::Wire) every question about formats and names no
//! dialect. `kombu` is the format of oslo's `rabbit` driver, `pika` that of its old `pika` driver,
//! `both` a format that both read, `body` what their bodies share. `encode` writes what is sent,
//! `incoming` reads what was delivered, `queues` lists the queues of servers and listeners,
//! `replies` sends a reply back. Nothing here does I/O, and nothing waits.

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
