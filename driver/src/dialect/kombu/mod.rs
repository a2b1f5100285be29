//! The wire of oslo.messaging's `rabbit` driver: JSON in a JSON string, ids inside, plain topic
//! exchanges.
//!
//! `encode` writes requests and replies, `notification` notifications, `decode` reads bodies,
//! `peek` finds the id of a reply without reading it, `failure` holds exceptions, `compression`
//! packs bodies, `topology` names exchanges and queues.

mod compression;
mod decode;
mod encode;
mod failure;
mod notification;
mod peek;
mod topology;

pub(crate) use compression::{compressor, decompress, label};
pub(crate) use decode::{
    Address, Scratch, check_content, decode_address, decode_reply, decode_request,
};
pub(crate) use encode::{encode_reply, encode_request, properties, renew_unique_id};
pub(crate) use notification::{decode_notification, encode_notification};
pub(crate) use peek::{TAIL_BYTES, is_enveloped, peek_reply, peek_sender};
pub(crate) use topology::{REPLY_PREFIX, Topology};

/// What every message of this dialect says about its content.
const CONTENT_TYPE: &str = "application/json";
/// The character set, likewise.
const CONTENT_ENCODING: &str = "utf-8";
/// Messages survive a restart of the broker, where their queue does.
const PERSISTENT: u8 = 2;

/// How every body with an envelope begins as Python and we write it.
const ENVELOPE_OPEN: &[u8] = br#"{"oslo.version": "2.0", "oslo.message": ""#;
/// How it ends.
const ENVELOPE_CLOSE: &[u8] = br#""}"#;
/// What the context's keys are prefixed with.
pub(super) const CONTEXT_PREFIX: &str = "_context_";

#[cfg(test)]
mod tests;
