//! Writes bodies and properties of requests and replies.
//!
//! Key order is that of Python 3. Invariant: on an error the output is as long as before.

use std::time::Duration;

use leveret_engine::{AMQPValue, FieldTable, Properties};
use serde::Serialize;

use super::{CONTEXT_PREFIX, VERSION, VERSION_HEADER, failure};
use crate::codec::json::WriteError;
use crate::codec::serialization::Serialization;
use crate::dialect::body::object::Object;
use crate::dialect::error::EncodeError;
use crate::ids::Hex32;
use crate::message::{Answer, Request};

/// Messages that a restart of the broker may cost.
const TRANSIENT: u8 = 1;
/// Messages that survive it, where their queue does.
const PERSISTENT: u8 = 2;

/// What stands where a message's own identifiers are put.
pub(in crate::dialect) const ID_PLACE: &str = "00000000000000000000000000000000";

/// Appends the body of a request, call or cast.
pub(crate) fn encode_request<A: Serialize + ?Sized>(
    out: &mut Vec<u8>,
    request: &Request<'_, A>,
    serialization: &Serialization,
) -> Result<(), EncodeError> {
    let start = out.len();
    write_request(out, request, serialization).inspect_err(|_| out.truncate(start))
}

fn write_request<A: Serialize + ?Sized>(
    out: &mut Vec<u8>,
    request: &Request<'_, A>,
    serialization: &Serialization,
) -> Result<(), EncodeError> {
    let named = [request.namespace, request.version].into_iter().flatten().count();
    let length = 2 + named + request.context.iter().count();
    let mut object = Object::begin(out, serialization, length);
    object.text("method", request.method)?;
    object.arguments("args", request.args)?;
    if let Some(namespace) = request.namespace {
        object.text("namespace", namespace)?;
    }
    if let Some(version) = request.version {
        object.text("version", version)?;
    }
    for (key, value) in request.context.iter() {
        object.value(CONTEXT_PREFIX, key, value)?;
    }
    Ok(object.end()?)
}

/// Appends the body of a reply: a result or a failure. There are no signs of life in this dialect.
pub(crate) fn encode_reply<R: Serialize + ?Sized>(
    out: &mut Vec<u8>,
    answer: &Answer<'_, R>,
    serialization: &Serialization,
) -> Result<(), WriteError> {
    let start = out.len();
    let mut object = Object::begin(out, serialization, 1);
    let written = match answer {
        Answer::Result(result) => object.value("", "s", *result),
        Answer::Failure(raised) => object.value("", "e", &failure::Raised::of(raised)),
        Answer::Heartbeat => object.value("", "s", &()),
    };
    written.and_then(|()| object.end()).inspect_err(|_| out.truncate(start))
}

/// What every message of this dialect says of itself, with a place for its id.
pub(crate) fn properties(serialization: &Serialization, persistent: bool) -> Properties {
    Properties::new()
        .with_content_type(serialization.content_type())
        .with_headers(version_header())
        .with_delivery_mode(if persistent { PERSISTENT } else { TRANSIENT })
        .with_message_id(ID_PLACE)
}

/// The headers that say which format this is.
pub(crate) fn version_header() -> FieldTable {
    let mut headers = FieldTable::default();
    headers.insert(VERSION_HEADER.into(), AMQPValue::LongString(VERSION.into()));
    headers
}

/// The same for a request; one that wants an answer says where, and expires with its caller's
/// patience.
pub(crate) fn request_properties(
    serialization: &Serialization,
    call: Option<(Duration, &str)>,
) -> Properties {
    asking(properties(serialization, false), call)
}

/// `properties` of a request that wants an answer, if it does: with a place for the call's id.
pub(in crate::dialect) fn asking(
    properties: Properties,
    call: Option<(Duration, &str)>,
) -> Properties {
    let Some((timeout, reply_queue)) = call else { return properties };
    let properties = properties.with_correlation_id(ID_PLACE).with_reply_to(reply_queue);
    expiring(properties, Some(timeout))
}

/// The same for the reply to a call, whose caller goes on waiting for `left`.
pub(crate) fn reply_properties(
    serialization: &Serialization,
    correlation_id: &str,
    message_id: Hex32,
    left: Option<Duration>,
) -> Properties {
    answering(properties(serialization, false), correlation_id, message_id, left)
}

/// The same for a reply that is sent again, serialised as its content type says.
pub(crate) fn reply_properties_of(
    content_type: &str,
    correlation_id: &str,
    message_id: Hex32,
    left: Option<Duration>,
) -> Properties {
    let properties = properties(&Serialization::Json, false).with_content_type(content_type);
    answering(properties, correlation_id, message_id, left)
}

fn answering(
    properties: Properties,
    correlation_id: &str,
    message_id: Hex32,
    left: Option<Duration>,
) -> Properties {
    let properties =
        properties.with_correlation_id(correlation_id).with_message_id(message_id.as_str());
    expiring(properties, left)
}

fn expiring(properties: Properties, left: Option<Duration>) -> Properties {
    match left.map(|left| left.as_millis()) {
        // The broker knows no longer time, and closes the channel on whoever names one.
        Some(left_ms) if left_ms <= u32::MAX.into() => {
            properties.with_expiration(left_ms.to_string())
        }
        _ => properties,
    }
}
