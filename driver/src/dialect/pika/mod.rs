//! The wire of oslo.messaging's old `pika` driver: flat bodies, identifiers among the properties,
//! direct exchanges.
//!
//! `encode` writes requests and replies, `notification` notifications, `decode` reads bodies,
//! `failure` holds exceptions, `topology` names exchanges and queues: the rooms of `kombu`.

mod decode;
mod encode;
mod failure;
mod notification;
mod topology;

pub(crate) use decode::{
    CustomSerializers, check_version, decode_reply, decode_request, is_versioned,
};
pub(super) use encode::{ID_PLACE, asking, version_header};
pub(crate) use encode::{
    encode_reply, encode_request, properties, reply_properties, reply_properties_of,
    request_properties,
};
pub(super) use notification::encode_polyglot;
pub(crate) use notification::{decode_notification, encode_notification};
pub(crate) use topology::{REPLY_PREFIX, Topology};

/// The header that says which version of the format a message has.
const VERSION_HEADER: &str = "version";
/// The version there is.
const VERSION: &str = "1.0";
/// What the context's keys are prefixed with.
pub(super) const CONTEXT_PREFIX: &str = "_$_";

#[cfg(test)]
mod tests;
