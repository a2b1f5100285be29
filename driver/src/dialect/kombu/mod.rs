//! The wire of oslo.messaging's `rabbit` driver: JSON in a JSON string, ids inside, plain topic
//! exchanges.
//!
//! `encode` writes requests and replies, `notification` notifications, `decode` reads bodies,
//! `envelope_reader` their envelope, `peek` finds the id of a reply without reading it, `failure`
//! holds exceptions, `compression` packs bodies, `properties` are those of every message,
//! `topology` names exchanges and queues.

pub(crate) mod compression;
pub(crate) mod decode;
pub(super) mod encode;
pub(super) mod envelope_reader;
mod failure;
pub(super) mod notification;
pub(super) mod peek;
pub(crate) mod properties;
pub(super) mod topology;

#[cfg(test)]
mod tests;
