//! Reads bodies by the rules of oslo's receivers: in the 2.0 envelope, or without one.
//!
//! Unknown keys are ignored, and the last value of a repeated key counts, as in Python. What is
//! decoded borrows from the [`Scratch`]. Invariant: a body above its budget is refused before a
//! value is made of it.

use std::borrow::Cow;

use crate::codec::json::Members;
use crate::dialect::body::fields::{read_kombu_context, read_request_field};
use crate::dialect::body::member::{FieldValue, is_falsy};
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
    for member in Members::new(open_envelope(body, scratch, Members::new)?)? {
        let (key, value) = member?;
        read_request_field(&mut request, &key, value, |context, value| {
            read_kombu_context(context, &key, value)
        })?;
    }
    request.context.dedup_keys();
    Ok(request)
}

/// Reads the body of a reply.
pub(crate) fn reply<'a>(
    body: &'a [u8],
    scratch: &'a mut Scratch,
) -> Result<IncomingReply<'a>, DecodeError> {
    let mut reply = IncomingReply::default();
    let mut failure = None;
    for member in Members::new(open_envelope(body, scratch, Members::new)?)? {
        let (key, value) = member?;
        match &*key {
            "result" => reply.result = value.encoded(),
            "failure" => failure = value.text()?.filter(|text| !is_falsy(text)),
            "ending" => reply.is_ending = value.text()?.is_some_and(|text| !is_falsy(&text)),
            "_msg_id" => reply.msg_id = value.text()?,
            _ => {}
        }
    }
    reply.failure = failure.map(|text| failure::read(&text)).transpose()?;
    Ok(reply)
}

/// The identifiers of a call.
#[derive(Debug, Default)]
pub(crate) struct CallIds<'a> {
    /// The id of the call.
    pub(crate) msg_id: Option<Cow<'a, str>>,
    /// The queue of its replies; only a request names it.
    pub(crate) reply_queue: Option<Cow<'a, str>>,
}

/// Reads the identifiers of the call from a request or a reply that cannot be decoded. Ignores the
/// rest of the body.
pub(crate) fn call_ids<'a>(
    body: &'a [u8],
    scratch: &'a mut Scratch,
) -> Result<CallIds<'a>, DecodeError> {
    let mut ids = CallIds::default();
    let members = Members::unchecked;
    for member in members(open_envelope(body, scratch, members)?)? {
        let (key, value) = member?;
        match &*key {
            "_msg_id" => ids.msg_id = value.text()?,
            "_reply_q" => ids.reply_queue = value.text()?,
            _ => {}
        }
    }
    Ok(ids)
}
