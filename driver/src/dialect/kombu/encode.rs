//! Writes the bodies of requests and replies: the payload's JSON, rendered in one pass as the
//! content of the envelope's JSON string.
//!
//! Keys are in Python's order: its dicts keep it, and the golden bytes compare it. Invariant: on an
//! error the output is as long as before. Literals here are text inside a JSON string, hence `\"`
//! for each quote.

use serde::Serialize;

use crate::codec::error::WriteError;
use crate::codec::json;
use crate::dialect::body::keys::KOMBU_CONTEXT_PREFIX;
use crate::dialect::body::object::{Members, encode_json, write_json_arguments};
use crate::dialect::error::EncodeError;
use crate::dialect::kombu::envelope_reader::{ENVELOPE_CLOSE, ENVELOPE_OPEN};
use crate::dialect::kombu::failure;
use crate::message::ids::Hex32;
use crate::message::{CallFields, Reply, ReplyContent, Request};

/// Appends the body of a request, call or cast.
///
/// On the hot path of a cast: constants are as long as possible, so that there are few copies. The
/// shared writers (`body::fields`) copy each key and each quote apart, which takes 4 % more
/// instructions.
pub(crate) fn request<A: Serialize + ?Sized>(
    out: &mut Vec<u8>,
    request: &Request<'_, A>,
) -> Result<(), EncodeError> {
    let start = out.len();
    write_request(out, request).inspect_err(|_| out.truncate(start))
}

fn write_request<A: Serialize + ?Sized>(
    out: &mut Vec<u8>,
    request: &Request<'_, A>,
) -> Result<(), EncodeError> {
    out.extend_from_slice(ENVELOPE_OPEN);
    out.extend_from_slice(br#"{\"method\": \""#);
    json::push_text::<1>(out, request.method);
    out.extend_from_slice(br#"\", \"args\": "#);
    write_json_arguments::<1, A>(out, request.args)?;
    if let Some(namespace) = request.namespace {
        out.extend_from_slice(br#", \"namespace\": \""#);
        json::push_text::<1>(out, namespace);
        out.extend_from_slice(br#"\""#);
    }
    if let Some(version) = request.version {
        out.extend_from_slice(br#", \"version\": \""#);
        json::push_text::<1>(out, version);
        out.extend_from_slice(br#"\""#);
    }
    if let Some(call) = &request.call {
        write_call(out, call)?;
    }
    out.extend_from_slice(br#", \"_unique_id\": \""#);
    out.extend_from_slice(request.unique_id.as_bytes());
    out.extend_from_slice(br#"\""#);
    for (key, value) in request.context.iter() {
        out.extend_from_slice(br#", \""#);
        out.extend_from_slice(KOMBU_CONTEXT_PREFIX.as_bytes());
        json::push_text::<1>(out, key);
        out.extend_from_slice(br#"\": "#);
        json::write::<1, _>(out, value)?;
    }
    out.push(b'}');
    out.extend_from_slice(ENVELOPE_CLOSE);
    Ok(())
}

fn write_call(out: &mut Vec<u8>, call: &CallFields<'_>) -> Result<(), WriteError> {
    out.extend_from_slice(br#", \"_msg_id\": \""#);
    out.extend_from_slice(call.msg_id.as_bytes());
    out.extend_from_slice(br#"\", \"_reply_q\": \""#);
    json::push_text::<1>(out, call.reply_queue);
    out.extend_from_slice(br#"\", \"_timeout\": "#);
    match call.monitor {
        None => out.extend_from_slice(b"null"),
        Some(timeout) if timeout.subsec_nanos() == 0 => json::push_unsigned(out, timeout.as_secs()),
        Some(timeout) => json::write::<1, _>(out, &timeout.as_secs_f64())?,
    }
    Ok(())
}

/// Appends an object in the envelope.
pub(super) fn encode_enveloped<M: Members>(out: &mut Vec<u8>, members: &M) -> Result<(), M::Error> {
    let start = out.len();
    out.extend_from_slice(ENVELOPE_OPEN);
    encode_json::<1, M>(out, members).inspect_err(|_| out.truncate(start))?;
    out.extend_from_slice(ENVELOPE_CLOSE);
    Ok(())
}

/// Appends the body of a reply: a result, a failure, or a heartbeat of a monitored call.
pub(crate) fn reply<R: Serialize + ?Sized>(
    out: &mut Vec<u8>,
    reply: &Reply<'_, R>,
) -> Result<(), WriteError> {
    let start = out.len();
    write_reply(out, reply).inspect_err(|_| out.truncate(start))
}

fn write_reply<R: Serialize + ?Sized>(
    out: &mut Vec<u8>,
    reply: &Reply<'_, R>,
) -> Result<(), WriteError> {
    out.extend_from_slice(ENVELOPE_OPEN);
    out.extend_from_slice(br#"{\"result\": "#);
    match reply.content {
        ReplyContent::Result(result) => json::write::<1, R>(out, result)?,
        ReplyContent::Failure(_) | ReplyContent::Heartbeat => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(br#", \"failure\": "#);
    match reply.content {
        ReplyContent::Failure(raised) => failure::write(out, raised)?,
        ReplyContent::Result(_) | ReplyContent::Heartbeat => out.extend_from_slice(b"null"),
    }
    let is_ending = !matches!(reply.content, ReplyContent::Heartbeat);
    out.extend_from_slice(if is_ending {
        br#", \"ending\": true, \"_msg_id\": \""#
    } else {
        br#", \"ending\": false, \"_msg_id\": \""#
    });
    json::push_text::<1>(out, reply.msg_id);
    out.extend_from_slice(br#"\", \"_unique_id\": \""#);
    out.extend_from_slice(reply.unique_id.as_bytes());
    out.extend_from_slice(br#"\"}"#);
    out.extend_from_slice(ENVELOPE_CLOSE);
    Ok(())
}

/// Replaces the unique id of a rendered reply, which stands at a fixed distance from the end:
/// receivers drop a message whose id they have seen.
pub(crate) fn renew_unique_id(body: &mut [u8], unique_id: Hex32) {
    let end = body.len().saturating_sub(br#"\"}"}"#.len());
    if let Some(digits) = end.checked_sub(32).and_then(|start| body.get_mut(start..end)) {
        digits.copy_from_slice(unique_id.as_bytes());
    }
}
