//! The wire of oslo.messaging's old `pika` driver: flat bodies, identifiers among the properties,
//! direct exchanges.
//!
//! `encode` writes requests and replies, `notification` notifications, `decode` reads bodies,
//! `failure` holds exceptions, `properties` are those of messages, `topology` names exchanges and
//! queues: the rooms of `kombu`.

pub(super) mod decode;
pub(super) mod encode;
mod failure;
pub(super) mod notification;
pub(super) mod properties;
pub(super) mod topology;

#[cfg(test)]
mod tests;
