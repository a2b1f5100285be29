//! Messages in each dialect, read as a server, a client and a listener read them.

use leveret_engine::fuzzing::delivery;
use leveret_engine::{AMQPValue, Delivery, FieldTable, Properties};
use serde_json::{Map, Value};

use crate::codec::{json, msgpack};
use crate::config::driver_config::DriverConfig;
use crate::config::options::dialects::SendingDialect;
use crate::dialect::error::DecodeError;
use crate::dialect::format::WireFormat;
use crate::dialect::incoming::RequestFormat;
use crate::dialect::peek::Peek;
use crate::dialect::wire::Wire;
use crate::fuzzing::request_values::{BODY_MAX, RequestValues, decoded};
use crate::fuzzing::values::is_deep;
use crate::message::ids::Hex32;

thread_local! {
    static KOMBU: Wire = Wire::new(&DriverConfig::default());
    static PIKA: Wire = Wire::new(&DriverConfig {
        sending: Some(SendingDialect::Pika),
        ..DriverConfig::default()
    });
}

/// Reads a body in all ways in which the format of the `rabbit` driver is read.
pub fn kombu_json(data: &[u8]) {
    let Some((flags, body)) = data.split_first() else { return };
    let mut headers = FieldTable::default();
    if flags & 1 != 0 {
        headers.insert("compression".into(), AMQPValue::LongString("application/x-gzip".into()));
    }
    let properties = Properties::new().with_content_type("application/json").with_headers(headers);
    let body = &body[..body.len().min(BODY_MAX)];
    let received = delivery(&properties, body);
    KOMBU.with(|wire| {
        let request = wire
            .read_request(&received, RequestFormat::Kombu, |request, _| RequestValues::of(request));
        check_reply(wire, &received);
        let notification = wire.read_notification(&received, |notification| {
            assert!(notification.payload.as_ref().is_none_or(|one| decoded(one) != "never"));
        });
        assert!(notification.is_ok() || request.is_err() || is_deep(body));
        let _ = RequestFormat::Kombu.looks_like_request(&received.properties(), received.body());
        let _ = wire.reply_address_of_truncated(&received);
        if flags & 1 == 0 {
            check_kombu_request(wire, body, request, &received);
        }
    });
}

fn check_kombu_request(
    wire: &Wire,
    body: &[u8],
    request: Result<RequestValues, DecodeError>,
    received: &Delivery,
) {
    let reference = open_envelope(body);
    let request = match request {
        Ok(request) => request,
        Err(error) => {
            let is_refused = matches!(error, DecodeError::Json(json::ReadError::Expected { .. }));
            assert!(!is_refused || reference.is_none(), "a parser reads it: {error}");
            return;
        }
    };
    match reference {
        Some(members) => request.assert_members(&members, "_context_"),
        // Control characters in the string of an envelope are accepted.
        None => assert!(body.starts_with(b"{\"oslo.version\": \"2.0\"") || is_deep(body)),
    }
    if let (Some(msg_id), Some(queue)) = (&request.msg_id, &request.reply_queue)
        && msg_id.len().max(queue.len()) <= 255
    {
        let address = wire.reply_address_of(received).expect("both are known");
        assert_eq!((&*address.msg_id, &*address.queue), (msg_id.as_str(), queue.as_str()));
    }
    let Some(again) = request.encode(&WireFormat::Kombu) else { return };
    let properties = Properties::new().with_content_type("application/json");
    let again = delivery(&properties, &again);
    wire.read_request(&again, RequestFormat::Kombu, |again, _| {
        request.assert_same(&RequestValues::of(again));
    })
    .expect("what is written can be read");
}

/// Reads an envelope as a parser of JSON does.
fn open_envelope(body: &[u8]) -> Option<Map<String, Value>> {
    let outer: Map<String, Value> = json::from_slice(body).ok()?;
    match (outer.get("oslo.version"), outer.get("oslo.message")) {
        (Some(_), Some(message)) => json::from_slice(message.as_str()?.as_bytes()).ok(),
        _ => Some(outer),
    }
}

/// Reads a reply; its call is the same, however it is found.
fn check_reply(wire: &Wire, received: &Delivery) {
    let msg_id = wire.read_reply(received, |reply| {
        assert!(reply.result.as_ref().is_none_or(|one| decoded(one) != "never"));
        Hex32::from_digits(reply.msg_id.as_deref().unwrap_or_default().as_bytes())
    });
    let peeked = wire.read_reply_id(received);
    let _ = wire.peek_reply(received);
    if let Ok(msg_id) = msg_id {
        let id = |peek: Peek| match peek {
            Peek::Reply(id) | Peek::Heartbeat(id) => Some(id),
            Peek::Unsure => None,
        };
        assert!(peeked.is_ok_and(|peeked| peeked.and_then(id) == msg_id));
        assert!(wire.call_id_of(received) == msg_id);
    }
}

/// The properties of a message in the format of the `pika` driver, as `flags` choose.
fn pika_properties(flags: u8, content_type: &str) -> Properties {
    const ID: &str = "0123456789abcdef0123456789abcdef";
    let mut headers = FieldTable::default();
    if flags & 1 == 0 {
        headers.insert("version".into(), AMQPValue::LongString("1.0".into()));
    }
    let properties = Properties::new().with_content_type(content_type).with_headers(headers);
    let properties = if flags & 2 == 0 { properties.with_message_id(ID) } else { properties };
    match flags >> 2 & 3 {
        0 => properties,
        1 => properties.with_correlation_id(ID).with_reply_to("reply_1"),
        2 => properties.with_reply_to("reply_1").with_expiration("60000"),
        _ => properties.with_correlation_id("x").with_expiration("-1"),
    }
}

/// Reads a body in all ways in which the format of the `pika` driver is read.
fn read_pika(properties: &Properties, body: &[u8]) -> Result<RequestValues, DecodeError> {
    let received = delivery(properties, body);
    PIKA.with(|wire| {
        let format = RequestFormat::Pika;
        let request = wire.read_request(&received, format, |request, _| RequestValues::of(request));
        let versioned = properties.headers().is_some_and(|headers| !headers.inner().is_empty());
        if versioned {
            check_reply(wire, &received);
        }
        let _ = wire.read_notification(&received, |notification| {
            notification.payload.as_ref().is_some_and(|payload| decoded(payload).is_null())
        });
        let _ = wire.reply_address_of(&received);
        let _ = format.time_to_live(&received.properties());
        request
    })
}

/// Reads a body of JSON in the format of the `pika` driver, and compares with `serde_json`.
pub fn pika_json(data: &[u8]) {
    let Some((flags, body)) = data.split_first() else { return };
    let body = &body[..body.len().min(BODY_MAX)];
    let reference = json::from_slice::<Map<String, Value>>(body);
    match (read_pika(&pika_properties(*flags, "application/json"), body), reference) {
        (Ok(request), Ok(members)) => {
            let prefix = match members.keys().any(|key| key.starts_with("_context_")) {
                true => "_context_",
                false => "_$_",
            };
            request.assert_members(&members, prefix);
            let Some(again) = request.encode(&WireFormat::Both) else { return };
            let properties = pika_properties(2, "application/json");
            let again = read_pika(&properties, &again).expect("what is written can be read");
            request.assert_same(&again);
        }
        (Ok(_), Err(error)) => assert!(is_deep(body), "{error}"),
        (Err(DecodeError::Json(json::ReadError::Expected { .. })), Ok(_)) => {
            panic!("an object is refused")
        }
        (Err(_), _) => {}
    }
}

/// Reads a body of msgpack in the format of the `pika` driver, and the same values as JSON.
pub fn pika_msgpack(data: &[u8]) {
    let Some((flags, body)) = data.split_first() else { return };
    let body = &body[..body.len().min(BODY_MAX)];
    let packed = read_pika(&pika_properties(*flags, "application/msgpack"), body);
    let (Ok(packed), Ok(Value::Object(members))) = (packed, msgpack::to_value(body)) else {
        return;
    };
    let text = serde_json::to_vec(&members).expect("a value is JSON");
    if text.len() > BODY_MAX {
        return;
    }
    match read_pika(&pika_properties(*flags, "application/json"), &text) {
        Ok(request) => packed.assert_same(&request),
        Err(error) => assert!(error.is_over_budget(), "JSON of the same values: {error}"),
    }
}
