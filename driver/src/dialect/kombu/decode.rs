//! Reads bodies by the rules of oslo's receivers: the 2.0 envelope, or none at all.
//!
//! The usual envelope is cut off by its fixed bytes and its string unescaped in one pass; any other
//! spelling goes through a real parser. Unknown keys are ignored, a repeated key's last value
//! counts, as in Python. What is decoded borrows from the [`Scratch`], which a thread reuses.
//! Invariant: what does not keep to its budget is refused before a value is made of it.

use std::borrow::Cow;
use std::cell::Cell;

use super::{CONTENT_TYPE, CONTEXT_PREFIX, ENVELOPE_CLOSE, ENVELOPE_OPEN, failure};
use crate::codec::encoded::Encoded;
use crate::codec::json;
use crate::codec::json::{Members, ReadError};
use crate::dialect::body::member::{encoded, is_falsy, text};
use crate::dialect::error::DecodeError;
use crate::message::version::Version;
use crate::message::{IncomingReply, IncomingRequest};

/// The buffer that decoding unescapes into.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    payload: Vec<u8>,
}

thread_local! {
    static SCRATCH: Cell<Option<Box<Scratch>>> = const { Cell::new(None) };
}

/// A scratch that grew beyond this is given back to the allocator.
const SCRATCH_BYTES_MAX: usize = 1 << 20;

impl Scratch {
    /// Lends this thread's scratch. Whoever borrows it inside gets another one.
    pub(crate) fn with<T>(work: impl FnOnce(&mut Self) -> T) -> T {
        let mut scratch = SCRATCH.with(Cell::take).unwrap_or_default();
        let result = work(&mut scratch);
        if scratch.payload.capacity() <= SCRATCH_BYTES_MAX {
            SCRATCH.with(|cell| cell.set(Some(scratch)));
        }
        result
    }
}

/// Refuses what cannot be JSON text by its own account.
pub(crate) fn check_content(content_type: Option<&str>) -> Result<(), DecodeError> {
    if content_type != Some(CONTENT_TYPE) {
        return Err(DecodeError::ContentType(content_type.unwrap_or_default().to_owned()));
    }
    Ok(())
}

/// Reads the body of a request.
pub(crate) fn decode_request<'a>(
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
                if let Some(name) = key.strip_prefix(CONTEXT_PREFIX) {
                    request.context.append(name, Encoded::json(value.as_bytes()));
                }
            }
        }
    }
    request.context.settle();
    Ok(request)
}

/// Reads the body of a reply.
pub(crate) fn decode_reply<'a>(
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
pub(crate) fn decode_address<'a>(
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

/// The payload's text: what is in the envelope, or the whole body of a message without one, which
/// is looked for among the body's `members`.
pub(super) fn open_envelope<'a>(
    body: &'a [u8],
    scratch: &'a mut Scratch,
    members: fn(&'a [u8]) -> Result<Members<'a>, ReadError>,
) -> Result<&'a [u8], DecodeError> {
    let payload = &mut scratch.payload;
    payload.clear();
    let content =
        body.strip_prefix(ENVELOPE_OPEN).and_then(|rest| rest.strip_suffix(ENVELOPE_CLOSE));
    if content.is_some_and(|content| json::unescape_into(content, payload)) {
        return Ok(payload);
    }
    let (mut version, mut message) = (None, None);
    for member in members(body)? {
        let (key, value) = member?;
        match &*key {
            "oslo.version" => version = Some(value),
            "oslo.message" => message = Some(value),
            _ => {}
        }
    }
    let (Some(version), Some(message)) = (version, message) else {
        return Ok(body);
    };
    let number = if version.starts_with('"') { json::string(version)? } else { "".into() };
    if !number.parse().is_ok_and(|version| Version::new(2, 0).serves(&version)) {
        return Err(DecodeError::EnvelopeVersion(version.chars().take(32).collect()));
    }
    if !message.starts_with('"') {
        return Err(DecodeError::EnvelopeMessage);
    }
    payload.clear();
    payload.extend_from_slice(json::string(message)?.as_bytes());
    Ok(payload)
}
