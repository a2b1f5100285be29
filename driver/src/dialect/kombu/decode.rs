//! Reads bodies by the rules of oslo's receivers: the 2.0 envelope, or none at all.
//!
//! The usual envelope is cut off by its fixed bytes and its string unescaped in one pass; any other
//! spelling goes through a real parser. Unknown keys are ignored, a repeated key's last value
//! counts, as in Python. What is decoded borrows from the [`Scratch`], which a thread reuses.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::notification::notification_key;
use super::{CONTENT_TYPE, CONTEXT_PREFIX, ENVELOPE_CLOSE, ENVELOPE_OPEN, failure};
use crate::dialect::DecodeError;
use crate::dialect::keys::{Lenient, Text, by_key, is_falsy};
use crate::json;
use crate::message::encoded::Encoded;
use crate::message::notification::IncomingNotification;
use crate::message::{IncomingReply, IncomingRequest};
use crate::version::Version;

/// Buffers that decoding unescapes and repairs into.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub(super) payload: Vec<u8>,
    pub(super) repaired: Vec<u8>,
}

thread_local! {
    static SCRATCH: Cell<Option<Box<Scratch>>> = const { Cell::new(None) };
}

/// A scratch that grew beyond this is given back to the allocator.
const SCRATCH_BYTES_MAX: usize = 1 << 20;

impl Scratch {
    /// A buffer to repair text in.
    pub(crate) const fn spare(&mut self) -> &mut Vec<u8> {
        &mut self.repaired
    }

    /// Lends this thread's scratch. Whoever borrows it inside gets another one.
    pub(crate) fn with<T>(work: impl FnOnce(&mut Self) -> T) -> T {
        let mut scratch = SCRATCH.with(Cell::take).unwrap_or_default();
        let result = work(&mut scratch);
        if scratch.payload.capacity() + scratch.repaired.capacity() <= SCRATCH_BYTES_MAX {
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
    let Scratch { payload, repaired } = scratch;
    let mut request: IncomingRequest<'a> = json::read(open_envelope(body, payload)?, repaired)?;
    request.context.settle();
    Ok(request)
}

/// Reads the body of a reply.
pub(crate) fn decode_reply<'a>(
    body: &'a [u8],
    scratch: &'a mut Scratch,
) -> Result<IncomingReply<'a>, DecodeError> {
    let Scratch { payload, repaired } = scratch;
    let parts: ReplyParts<'a> = json::read(open_envelope(body, payload)?, repaired)?;
    Ok(IncomingReply {
        msg_id: parts.msg_id,
        result: parts
            .result
            .filter(|result| result.get() != "null")
            .map(|result| Encoded::json(result.get().as_bytes())),
        failure: parts.failure.map(|text| failure::read(&text)).transpose()?,
        ending: parts.ending,
    })
}

/// The payload's text: what is in the envelope, or the whole body of a message without one.
pub(super) fn open_envelope<'a>(
    body: &'a [u8],
    payload: &'a mut Vec<u8>,
) -> Result<&'a [u8], DecodeError> {
    payload.clear();
    let content =
        body.strip_prefix(ENVELOPE_OPEN).and_then(|rest| rest.strip_suffix(ENVELOPE_CLOSE));
    if content.is_some_and(|content| json::unescape_into(content, payload)) {
        return Ok(payload);
    }
    let Envelope { version, message } = json::from_slice(body)?;
    let (Some(version), Some(message)) = (version, message) else {
        return Ok(body);
    };
    let text = version.as_str().unwrap_or_default();
    if !text.parse().is_ok_and(|version| Version::new(2, 0).serves(&version)) {
        return Err(DecodeError::EnvelopeVersion(version.to_string()));
    }
    let Value::String(text) = message else { return Err(DecodeError::EnvelopeMessage) };
    *payload = text.into_bytes();
    Ok(payload)
}

/// An envelope, if both keys are there.
#[derive(Default)]
struct Envelope {
    version: Option<Value>,
    message: Option<Value>,
}

struct ReplyParts<'a> {
    msg_id: Option<Cow<'a, str>>,
    result: Option<&'a RawValue>,
    failure: Option<Cow<'a, str>>,
    ending: bool,
}

by_key!(Envelope, "an object", Envelope::default(), envelope_key);
by_key!(IncomingRequest<'de>, "an object", IncomingRequest::default(), request_key);
by_key!(IncomingNotification<'de>, "an object", IncomingNotification::default(), notification_key);
by_key!(
    ReplyParts<'de>,
    "an object",
    ReplyParts { msg_id: None, result: None, failure: None, ending: false },
    reply_key
);

fn envelope_key<'de, M: MapAccess<'de>>(
    envelope: &mut Envelope,
    key: &str,
    map: &mut M,
) -> Result<(), M::Error> {
    match key {
        "oslo.version" => envelope.version = Some(map.next_value()?),
        "oslo.message" => envelope.message = Some(map.next_value()?),
        _ => drop(map.next_value::<IgnoredAny>()?),
    }
    Ok(())
}

fn request_key<'de, M: MapAccess<'de>>(
    request: &mut IncomingRequest<'de>,
    key: &str,
    map: &mut M,
) -> Result<(), M::Error> {
    match key {
        "method" => request.method = map.next_value::<Lenient<'_>>()?.0,
        "args" => {
            let args = map.next_value::<&RawValue>()?.get();
            request.args = (args != "null").then(|| Encoded::json(args.as_bytes()));
        }
        "namespace" => request.namespace = map.next_value::<Lenient<'_>>()?.0,
        "version" => request.version = map.next_value::<Lenient<'_>>()?.0,
        "_msg_id" => request.msg_id = map.next_value::<Lenient<'_>>()?.0,
        "_reply_q" => request.reply_queue = map.next_value::<Lenient<'_>>()?.0,
        "_unique_id" => request.unique_id = map.next_value::<Lenient<'_>>()?.0,
        "_timeout" => {
            let seconds = map.next_value::<Lenient<'_>>()?.0.and_then(|text| text.parse().ok());
            request.context.set_client_timeout(seconds);
        }
        _ => match key.strip_prefix(CONTEXT_PREFIX) {
            Some(name) => request.context.append(name, map.next_value::<Value>()?),
            None => drop(map.next_value::<IgnoredAny>()?),
        },
    }
    Ok(())
}

fn reply_key<'de, M: MapAccess<'de>>(
    reply: &mut ReplyParts<'de>,
    key: &str,
    map: &mut M,
) -> Result<(), M::Error> {
    match key {
        "result" => reply.result = Some(map.next_value()?),
        "failure" => {
            reply.failure = map.next_value::<Lenient<'_>>()?.0.filter(|text| !is_falsy(text));
        }
        "ending" => {
            reply.ending = map.next_value::<Lenient<'_>>()?.0.is_some_and(|text| !is_falsy(&text));
        }
        "_msg_id" => reply.msg_id = map.next_value::<Lenient<'_>>()?.0,
        _ => drop(map.next_value::<IgnoredAny>()?),
    }
    Ok(())
}
