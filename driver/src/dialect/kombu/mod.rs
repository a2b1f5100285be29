//! The wire format of oslo.messaging's `rabbit` driver: JSON in a JSON string, identifiers in the
//! body, topic exchanges.
//!
//! `encode` writes requests and replies, `decode` reads them, `notification` does both for
//! notifications. `envelope_reader` reads the envelope around a payload, `peek` finds the call of a
//! reply without decoding it, `failure` has the exceptions in replies, `compression` compresses
//! bodies, `properties` has the properties of messages, `topology` names exchanges and queues.

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
