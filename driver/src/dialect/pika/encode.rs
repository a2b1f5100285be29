//! Writes bodies and properties of requests and replies.
//!
//! Key order is that of Python 3. Invariant: on an error the output is as long as before.

use serde::Serialize;

use crate::codec::json::WriteError;
use crate::codec::serialization::Serialization;
use crate::dialect::body::keys::PIKA_CONTEXT_PREFIX;
use crate::dialect::body::object::Object;
use crate::dialect::error::EncodeError;
use crate::dialect::pika::failure;
use crate::message::{Answer, Request};

/// Appends the body of a request, call or cast.
pub(crate) fn request<A: Serialize + ?Sized>(
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
        object.value(PIKA_CONTEXT_PREFIX, key, value)?;
    }
    Ok(object.end()?)
}

/// Appends the body of a reply: a result or a failure. There are no signs of life in this dialect.
pub(crate) fn reply<R: Serialize + ?Sized>(
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
