//! Reads bodies by the rules of oslo's receivers: the 2.0 envelope, or none at all.
//!
//! The usual envelope is cut off by its fixed bytes and its string unescaped in one pass; any other
//! spelling goes through a real parser. Unknown keys are ignored, a repeated key's last value
//! counts, as in Python. What is decoded borrows from the [`Scratch`], which a thread reuses.
//! Invariant: what does not keep to its budget is refused before a value is made of it.

use std::borrow::Cow;

use crate::codec::encoded::Encoded;
use crate::codec::json::Members;
use crate::dialect::body::keys::KOMBU_CONTEXT_PREFIX;
use crate::dialect::body::member::{encoded, is_falsy, text};
use crate::dialect::body::scratch::Scratch;
use crate::dialect::error::DecodeError;
use crate::dialect::kombu::envelope_reader::open_envelope;
use crate::dialect::kombu::failure;
use crate::message::{IncomingReply, IncomingRequest};

/// Reads the body of a request.
pub(crate) fn request<'a>(
    body: &'a [u8],
    scratch: &'a mut Scratch,
) -> Result<IncomingRequest<'a>, DecodeError> {
    let mut request = IncomingRequest::default();
    for member in Members::of(open_envelope(body, scratch, Members::of)?)? {
        let (key, value) = member?;
        match &*key {
            "method" => request.method = text(value)?,
            "args" => request.args = encoded(value),
            "namespace" => request.namespace = text(value)?,
            "version" => request.version = text(value)?,
            "_msg_id" => request.msg_id = text(value)?,
            "_reply_q" => request.reply_queue = text(value)?,
            "_unique_id" => request.unique_id = text(value)?,
            "_timeout" => {
                let seconds = text(value)?.and_then(|text| text.parse().ok());
                request.context.set_client_timeout(seconds);
            }
            key => {
                if let Some(name) = key.strip_prefix(KOMBU_CONTEXT_PREFIX) {
                    request.context.append(name, Encoded::json(value.as_bytes()));
                }
            }
        }
    }
    request.context.settle();
    Ok(request)
}

/// Reads the body of a reply.
pub(crate) fn reply<'a>(
    body: &'a [u8],
    scratch: &'a mut Scratch,
) -> Result<IncomingReply<'a>, DecodeError> {
    let mut reply = IncomingReply::default();
    let mut failure = None;
    for member in Members::of(open_envelope(body, scratch, Members::of)?)? {
        let (key, value) = member?;
        match &*key {
            "result" => reply.result = encoded(value),
            "failure" => failure = text(value)?.filter(|text| !is_falsy(text)),
            "ending" => reply.ending = text(value)?.is_some_and(|text| !is_falsy(&text)),
            "_msg_id" => reply.msg_id = text(value)?,
            _ => {}
        }
    }
    reply.failure = failure.map(|text| failure::read(&text)).transpose()?;
    Ok(reply)
}

/// Whose a message is.
#[derive(Debug, Default)]
pub(crate) struct Address<'a> {
    /// The call that it is about.
    pub(crate) msg_id: Option<Cow<'a, str>>,
    /// Where the answer to a request goes.
    pub(crate) reply_queue: Option<Cow<'a, str>>,
}

/// Reads whose a request or a reply is that cannot be decoded. What else the body holds is passed
/// over.
pub(crate) fn address<'a>(
    body: &'a [u8],
    scratch: &'a mut Scratch,
) -> Result<Address<'a>, DecodeError> {
    let mut address = Address::default();
    let members = Members::unchecked;
    for member in members(open_envelope(body, scratch, members)?)? {
        let (key, value) = member?;
        match &*key {
            "_msg_id" => address.msg_id = text(value)?,
            "_reply_q" => address.reply_queue = text(value)?,
            _ => {}
        }
    }
    Ok(address)
}
