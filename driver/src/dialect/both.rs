//! Messages that both dialects understand: flat JSON with the identifiers and the contexts of both.
//!
//! Each reader ignores the keys of the other. No compression and no msgpack here, because old
//! readers of the `rabbit` driver take only JSON.

use std::time::Duration;

use leveret_engine::Properties;
use serde::Serialize;

use crate::codec::serialization::Serialization;
use crate::dialect::body::keys::{KOMBU_CONTEXT_PREFIX, PIKA_CONTEXT_PREFIX};
use crate::dialect::body::object::Object;
use crate::dialect::error::EncodeError;
use crate::dialect::kombu;
use crate::dialect::pika;
use crate::message::Request;

/// Appends the body of a request, call or cast.
pub(super) fn encode_request<A: Serialize + ?Sized>(
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
    // JSON needs no length.
    let mut object = Object::begin(out, &Serialization::Json, 0);
    object.text("method", request.method)?;
    object.arguments("args", request.args)?;
    if let Some(namespace) = request.namespace {
        object.text("namespace", namespace)?;
    }
    if let Some(version) = request.version {
        object.text("version", version)?;
    }
    object.text("_unique_id", request.unique_id.as_str())?;
    if let Some(call) = &request.call {
        object.text("_msg_id", call.msg_id.as_str())?;
        object.text("_reply_q", call.reply_queue)?;
        match call.monitor {
            None => object.value("", "_timeout", &())?,
            Some(timeout) if timeout.subsec_nanos() == 0 => {
                object.value("", "_timeout", &timeout.as_secs())?;
            }
            Some(timeout) => object.value("", "_timeout", &timeout.as_secs_f64())?,
        }
    }
    for prefix in [KOMBU_CONTEXT_PREFIX, PIKA_CONTEXT_PREFIX] {
        for (key, value) in request.context.iter() {
            object.value(prefix, key, value)?;
        }
    }
    Ok(object.end()?)
}

/// The properties of a request, with places for its identifiers.
pub(super) fn request_properties(call: Option<(Duration, &str)>) -> Properties {
    pika::properties::asking(properties(), call)
}

/// What every message of this form says of itself.
pub(super) fn properties() -> Properties {
    kombu::properties::message(None)
        .with_headers(pika::properties::version_header())
        .with_message_id(pika::properties::ID_PLACE)
}
