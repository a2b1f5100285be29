//! Golden bytes: messages of the old Python driver, written and read; and malformed input.

use leveret_engine::Properties;
use leveret_engine::wire::PropertiesView;
use serde::Serialize;
use serde_json::{Value, json};

use crate::codec::encoded::Encoded;
use crate::codec::serialization::{BodySerializer, Serialization};
use crate::dialect::body::scratch::Scratch;
use crate::dialect::both;
use crate::dialect::error::{DecodeError, EncodeError};
use crate::dialect::format::WireFormat;
use crate::dialect::kombu;
use crate::dialect::pika::properties::is_versioned;
use crate::dialect::pika::{decode, encode, notification, properties};
use crate::error::failure::Failure;
use crate::message::context::Context;
use crate::message::ids::Hex32;
use crate::message::notification::OutgoingNotification;
use crate::message::priority::Priority;
use crate::message::{CallFields, ReplyContent, Request};

const ID: &str = "0123456789abcdef0123456789abcdef";
const QUEUE: &str = "reply.proj.prog.0123456789abcdef0123456789abcdef01";

fn id() -> Hex32 {
    Hex32::from_digits(ID.as_bytes()).unwrap()
}

/// `{"x": "hé", "l": [1, 2.5, null]}` in the order Python sent it.
#[derive(Serialize)]
struct Sample {
    x: &'static str,
    l: Value,
}

#[derive(Serialize)]
struct Args<T> {
    arg: T,
}

fn sample() -> Sample {
    Sample { x: "hé", l: json!([1, 2.5, null]) }
}

fn alice() -> Context {
    Context::new()
        .with("user", "alice")
        .with("request_id", "req-1")
        .with("n", 5)
        .with("nested", json!({"a": [1, null, true]}))
}

fn request<'a, A: ?Sized>(method: &'a str, args: &'a A, context: &'a Context) -> Request<'a, A> {
    let (namespace, version) = (Some("ns1"), Some("1.2"));
    Request { method, args, namespace, version, context, unique_id: id(), call: None }
}

fn body<A: Serialize + ?Sized>(request: &Request<'_, A>, how: &Serialization) -> Vec<u8> {
    let mut out = b"before".to_vec();
    encode::request(&mut out, request, how).unwrap();
    out.split_off(6)
}

fn reply<R: Serialize + ?Sized>(answer: ReplyContent<'_, R>, how: &Serialization) -> Vec<u8> {
    let mut out = Vec::new();
    encode::reply(&mut out, &answer, how).unwrap();
    out
}

/// Calls `look` with the properties as a receiver parses them.
fn seen<T>(properties: &Properties, look: impl FnOnce(&PropertiesView<'_>) -> T) -> T {
    let mut frame = Vec::new();
    properties.encode_frame(1, 0, &mut frame);
    look(&PropertiesView::parse(&frame[19..frame.len() - 1]).unwrap())
}

#[test]
fn calls_and_casts_are_those_of_python() {
    let (empty, alice) = (Context::new(), alice());
    let args = Args { arg: sample() };
    let json = &Serialization::Json;
    assert_eq!(
        body(&request("echo", &args, &alice), json),
        include_bytes!("../../../tests/golden/pika/call.json")
    );
    assert_eq!(
        body(&request("none", &(), &empty), json),
        br#"{"method": "none", "args": {}, "namespace": "ns1", "version": "1.2"}"#
    );
    let bare = Request { namespace: None, version: None, ..request("none", &(), &empty) };
    assert_eq!(body(&bare, json), br#"{"method": "none", "args": {}}"#);
}

#[test]
fn the_header_of_a_call_is_that_of_python() {
    // The content header from the flags on, after class, weight and body size.
    let mut captured =
        b"\xb7\x80\x10application/json\x00\x00\x00\x10\x07versionS\x00\x00\x00\x031.0".to_vec();
    captured.extend_from_slice(b"\x01\x20");
    captured.extend_from_slice(ID.as_bytes());
    captured.push(QUEUE.len() as u8);
    captured.extend_from_slice(QUEUE.as_bytes());
    captured.extend_from_slice(b"\x042980\x20");
    captured.extend_from_slice(ID.as_bytes());
    let call = Some((std::time::Duration::from_millis(2980), QUEUE));
    let properties =
        properties::request(&Serialization::Json, call).with_correlation_id(ID).with_message_id(ID);
    let mut frame = Vec::new();
    properties.encode_frame(1, 0, &mut frame);
    assert_eq!(&frame[19..frame.len() - 1], captured);
    let cast = properties::request(&Serialization::MsgPack, None);
    seen(&cast, |head| {
        assert_eq!(head.content_type, Some("application/msgpack"));
        assert_eq!((head.reply_to, head.correlation_id, head.expiration), (None, None, None));
        assert_eq!(
            (head.delivery_mode, head.priority, head.content_encoding),
            (Some(1), None, None)
        );
    });
}

#[test]
fn replies_are_those_of_python() {
    let json = &Serialization::Json;
    let result = reply(ReplyContent::Result(&sample()), json);
    assert_eq!(result, br#"{"s": {"x": "h\u00e9", "l": [1, 2.5, null]}}"#);
    assert_eq!(reply(ReplyContent::Result(&()), json), br#"{"s": null}"#);
    let raised = Failure::new("ValueError", "exceptions", "('bad value', 42)")
        .with_traceback(["Traceback (most recent call last):\n".into(), "ValueError\n".into()]);
    assert_eq!(
        reply::<()>(ReplyContent::Failure(&raised), json),
        include_bytes!("../../../tests/golden/pika/failure.json")
    );
    // The first reply as Python 3 writes it in msgpack.
    let packed = reply(ReplyContent::Result(&sample()), &Serialization::MsgPack);
    assert_eq!(packed, hex("81a17382a178a368c3a9a16c9301cb4004000000000000c0"));
}

fn hex(text: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(digit).collect()
}

#[test]
fn replies_are_read_in_every_serialization() {
    let serializers: Vec<std::sync::Arc<dyn BodySerializer>> = vec![std::sync::Arc::new(Lines)];
    let custom = Serialization::Custom(serializers[0].clone());
    for how in [Serialization::Json, Serialization::MsgPack, custom] {
        let left = Some(std::time::Duration::from_secs(1));
        let properties = properties::reply(&how, ID, id(), left);
        let read = |body: &[u8], look: &dyn Fn(crate::message::IncomingReply<'_>)| {
            seen(&properties, |head| {
                look(decode::reply(body, head, &serializers).unwrap());
            });
        };
        read(&reply(ReplyContent::Result(&sample()), &how), &|reply| {
            assert_eq!(reply.msg_id.as_deref(), Some(ID));
            assert!(reply.is_ending && reply.failure.is_none());
            let value: Value = reply.result.unwrap().read().unwrap();
            assert_eq!(value, json!({"x": "hé", "l": [1, 2.5, null]}), "{how:?}");
        });
        read(&reply(ReplyContent::Result(&()), &how), &|reply| assert!(reply.result.is_none()));
        let raised = Failure::builtin("KeyError", "k");
        read(&reply::<()>(ReplyContent::Failure(&raised), &how), &|reply| {
            let failure = reply.failure.unwrap();
            assert_eq!((failure.class(), failure.module()), ("KeyError", "builtins"));
            assert_eq!((failure.message(), failure.args()), ("k", &[][..]));
            assert_eq!(failure.traceback(), ["KeyError: k\n"]);
        });
    }
    // Python 2 writes its native strings as bytes.
    let packed = hex("81c4017382c40178a368c3a9c4016c9301cb4004000000000000c0");
    seen(&properties::reply(&Serialization::MsgPack, ID, id(), None), |head| {
        let reply = decode::reply(&packed, head, &[]).unwrap();
        let value: Value = reply.result.unwrap().read().unwrap();
        assert_eq!(value, json!({"x": "hé", "l": [1, 2.5, null]}));
    });
}

/// A serializer of the user's own.
#[derive(Debug)]
struct Lines;

impl BodySerializer for Lines {
    fn content_type(&self) -> &'static str {
        "text/x-lines"
    }
    fn encode(&self, body: &Value) -> Result<Vec<u8>, Failure> {
        Ok(serde_json::to_vec_pretty(body)?)
    }
    fn decode(&self, bytes: &[u8]) -> Result<Value, Failure> {
        Ok(serde_json::from_slice(bytes)?)
    }
}

#[test]
fn requests_are_read_in_every_serialization() {
    let serializers: Vec<std::sync::Arc<dyn BodySerializer>> = vec![std::sync::Arc::new(Lines)];
    let alice = alice();
    let custom = Serialization::Custom(serializers[0].clone());
    for how in [Serialization::Json, Serialization::MsgPack, custom] {
        let body = body(&request("echo", &Args { arg: sample() }, &alice), &how);
        let call = Some((std::time::Duration::from_secs(3), QUEUE));
        let properties = properties::request(&how, call).with_correlation_id(ID);
        seen(&properties.with_message_id("m"), |head| {
            let (request, format) = decode::request(&body, head, &serializers).unwrap();
            assert_eq!(request.method.as_deref(), Some("echo"));
            assert_eq!(request.namespace.as_deref(), Some("ns1"));
            assert_eq!(request.version.as_deref(), Some("1.2"));
            assert_eq!(request.msg_id.as_deref(), Some(ID));
            assert_eq!(request.reply_queue.as_deref(), Some(QUEUE));
            assert_eq!(request.unique_id.as_deref(), Some("m"));
            assert_eq!(format, WireFormat::Pika(how.clone()));
            let sorted = |context: &Context| {
                let all = context.iter().map(|(key, value)| (key.to_owned(), value.clone()));
                all.collect::<std::collections::BTreeMap<_, _>>()
            };
            assert_eq!(sorted(&request.context), sorted(&alice));
            let args: Value = request.args.unwrap().read().unwrap();
            assert_eq!(args, json!({"arg": {"x": "hé", "l": [1, 2.5, null]}}));
        });
    }
}

#[test]
fn arguments_must_be_an_object_in_every_serialization() {
    let context = Context::new();
    let custom = Serialization::Custom(std::sync::Arc::new(Lines));
    for how in [Serialization::Json, Serialization::MsgPack, custom] {
        let mut out = b"before".to_vec();
        let refused = encode::request(&mut out, &request("m", &[1, 2][..], &context), &how);
        assert_eq!(refused, Err(EncodeError::BareArguments), "{how:?}");
        assert_eq!(out, b"before");
        seen(&properties::message(&how, false), |head| {
            let body = body(&request("m", &(), &context), &how);
            let serializers = [std::sync::Arc::new(Lines) as _];
            let (request, _) = decode::request(&body, head, &serializers).unwrap();
            assert!(request.args.unwrap().is_empty_object(), "{how:?}");
        });
    }
}

#[test]
fn a_request_for_both_formats_has_identifiers_and_contexts_twice() {
    let context = Context::new().with("k", "v");
    let call = CallFields { msg_id: id(), reply_queue: "reply_1", monitor: None };
    let args = Args { arg: 1 };
    let request = Request { call: Some(call), ..request("echo", &args, &context) };
    let mut body = Vec::new();
    both::encode_request(&mut body, &request).unwrap();
    let golden = include_str!("../../../tests/golden/pika/both.json");
    assert_eq!(String::from_utf8(body.clone()).unwrap(), golden);
    let wait = std::time::Duration::from_secs(3);
    let properties = both::request_properties(Some((wait, "reply_1")));
    seen(&properties, |head| {
        assert_eq!((head.delivery_mode, head.priority), (Some(2), Some(0)));
        assert_eq!((head.content_encoding, head.expiration), (Some("utf-8"), Some("3000")));
        assert!(is_versioned(head));
        let (read, format) = decode::request(&body, head, &[]).unwrap();
        assert_eq!((&format, read.msg_id.as_deref()), (&WireFormat::Both, Some(ID)));
        assert_eq!((read.reply_queue.as_deref(), &read.context), (Some("reply_1"), &context));
    });
    let mut scratch = Scratch::default();
    let read = kombu::decode::request(&body, &mut scratch).unwrap();
    assert_eq!((read.msg_id.as_deref(), &read.context), (Some(ID), &context));
    assert_eq!(read.unique_id.as_deref(), Some(ID));
}

#[test]
fn messages_of_other_formats_are_refused() {
    let refused = |properties: &Properties, body: &[u8]| {
        let look =
            |head: &PropertiesView<'_>| decode::request(body, head, &[]).map(|_| ()).unwrap_err();
        seen(properties, look)
    };
    let good = || properties::message(&Serialization::Json, false);
    let version = |text: &str| {
        let mut table = leveret_engine::FieldTable::default();
        let text = leveret_engine::AMQPValue::LongString(text.into());
        table.insert("version".into(), text);
        good().with_headers(table)
    };
    for (major, fine) in [("1.0", true), ("1.5", true), ("0.9", false), ("2.0", false)] {
        let read = seen(&version(major), |head| decode::request(b"{}", head, &[]).map(|_| ()));
        assert_eq!(read.is_ok(), fine, "{major}: {read:?}");
    }
    let headless = Properties::new().with_content_type("application/json");
    assert_eq!(refused(&headless, b"{}"), DecodeError::NoHeaders);
    let unknown = good().with_content_type("text/plain");
    assert_eq!(refused(&unknown, b"{}"), DecodeError::UnknownType("text/plain".into()));
    assert!(matches!(refused(&good(), b"[1]"), DecodeError::Json(_)));
    assert!(matches!(refused(&good(), b"{"), DecodeError::Json(_)));
    let packed = properties::message(&Serialization::MsgPack, false);
    assert!(matches!(refused(&packed, b"\x91\x01"), DecodeError::MsgPack(_)));
    assert!(matches!(refused(&packed, b""), DecodeError::MsgPack(_)));
    let kombu = br#"{"oslo.version": "2.0", "oslo.message": "{}"}"#;
    assert_eq!(refused(&good(), kombu), DecodeError::OtherDialect("rabbit"));
    let call = good().with_reply_to(QUEUE);
    assert_eq!(refused(&call, b"{}"), DecodeError::NoCorrelationId);
}

#[test]
fn notifications_are_those_of_python() {
    let context = Context::new().with("cu", "bob");
    let payload = json!({"k": "audit", "u": "é"});
    let notification = OutgoingNotification {
        message_id: "cfc4ee99-f8b7-4783-8b84-a4b9d74568af",
        publisher_id: "pub.host1",
        event_type: "ev.audit",
        priority: Priority::Audit,
        payload: &payload,
        timestamp: "2026-11-22 22:39:29.563891",
        unique_id: id(),
        context: &context,
    };
    for how in [Serialization::Json, Serialization::MsgPack] {
        let mut body = Vec::new();
        notification::encode(&mut body, &notification, &how).unwrap();
        if how == Serialization::Json {
            let golden = include_bytes!("../../../tests/golden/pika/notification.json");
            let (ours, theirs): (Value, Value) =
                (serde_json::from_slice(&body).unwrap(), serde_json::from_slice(golden).unwrap());
            assert_eq!(ours, theirs, "Python 2 writes keys in no order");
        }
        seen(&properties::message(&how, true).with_message_id("m"), |head| {
            assert_eq!(head.delivery_mode, Some(2));
            let read = notification::decode(&body, head, &[]).unwrap();
            assert_eq!(read.priority.as_deref(), Some("AUDIT"));
            assert_eq!(read.publisher_id.as_deref(), Some("pub.host1"));
            assert_eq!(read.unique_id.as_deref(), Some("m"));
            assert_eq!(read.context, context);
            assert_eq!(read.payload.unwrap().read::<Value>().unwrap(), payload);
        });
    }
    let mut body = Vec::new();
    both::encode_notification(&mut body, &notification).unwrap();
    let mut scratch = Scratch::default();
    let read = kombu::notification::decode(&body, &mut scratch).unwrap();
    assert_eq!((read.unique_id.as_deref(), &read.context), (Some(ID), &context));
    seen(&both::properties(), |head| {
        let read = notification::decode(&body, head, &[]).unwrap();
        assert_eq!((read.unique_id.as_deref(), &read.context), (Some(ID), &context));
    });
}

#[test]
fn numbers_keep_their_value_within_the_limits_of_each_serialization() {
    let context = Context::new();
    let large: Value = serde_json::from_str("123456789012345678901234567890").unwrap();
    let edge = json!({"arg": [9_007_199_254_740_993_u64, u64::MAX, i64::MIN, 0.1, 1e300]});
    for how in [Serialization::Json, Serialization::MsgPack] {
        let body = body(&request("m", &edge, &context), &how);
        seen(&properties::message(&how, false), |head| {
            let (request, _) = decode::request(&body, head, &[]).unwrap();
            assert_eq!(request.args.unwrap().read::<Value>().unwrap(), edge, "{how:?}");
        });
    }
    let args = json!({ "arg": large });
    let mut out = Vec::new();
    encode::request(&mut out, &request("m", &args, &context), &Serialization::Json).unwrap();
    let refused =
        encode::request(&mut out, &request("m", &args, &context), &Serialization::MsgPack);
    assert!(
        refused.is_err(),
        "msgpack has no integers above 64 bits, and Python's packer refuses them, too"
    );
    let nan = Args { arg: [f64::NAN, f64::INFINITY] };
    for how in [Serialization::Json, Serialization::MsgPack] {
        let body = body(&request("m", &nan, &context), &how);
        let text = br#"{"method": "m", "args": {"arg": [NaN, Infinity]}, "namespace": "ns1", "#;
        assert!(how != Serialization::Json || body.starts_with(text));
        seen(&properties::message(&how, false), |head| {
            let (request, _) = decode::request(&body, head, &[]).unwrap();
            let args: Value = request.args.unwrap().read().unwrap();
            assert_eq!(args, json!({"arg": [null, null]}), "{how:?}");
        });
    }
    let exact: std::collections::HashMap<String, [f64; 2]> = Encoded::MsgPack(
        hex("81a36172679 2cb7ff8000000000000cb7ff0000000000000".replace(' ', "").as_str()).into(),
    )
    .read()
    .unwrap();
    assert!(exact["arg"][0].is_nan() && exact["arg"][1].is_infinite());
}
