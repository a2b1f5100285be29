//! The wire format of oslo.messaging's old `pika` driver: flat bodies, identifiers in the
//! properties, direct exchanges.
//!
//! `encode` writes requests and replies, `decode` reads them, `notification` does both for
//! notifications, `failure` has the exceptions in replies, `properties` has the properties of
//! messages, `topology` names exchanges and queues.

pub(super) mod decode;
pub(super) mod encode;
mod failure;
pub(super) mod notification;
pub(super) mod properties;
pub(super) mod topology;

#[cfg(test)]
mod tests;
