//! Golden bytes: messages of Python's driver, written and read; and malformed input.

use proptest::prelude::*;
use serde::Serialize;
use serde_json::{Value, json};

use crate::codec::encoded::Encoded;
use crate::dialect::body::scratch::Scratch;
use crate::dialect::error::{DecodeError, EncodeError};
use crate::dialect::kombu::peek::TAIL_BYTES;
use crate::dialect::kombu::properties::check_content;
use crate::dialect::kombu::{decode, encode, peek, properties};
use crate::dialect::peek::Peek;
use crate::error::failure::Failure;
use crate::message::context::Context;
use crate::message::ids::Hex32;
use crate::message::{CallFields, Reply, ReplyContent, Request};

macro_rules! golden {
    ($name:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/kombu/", $name, ".json"))
    };
}

mod notifications;

fn id(digits: &str) -> Hex32 {
    Hex32::from_digits(digits.as_bytes()).unwrap()
}

fn request_text<A: Serialize + ?Sized>(request: &Request<'_, A>) -> String {
    let mut out = b"before".to_vec();
    encode::request(&mut out, request).unwrap();
    String::from_utf8(out).unwrap().strip_prefix("before").unwrap().to_owned()
}

fn reply_text<R: Serialize + ?Sized>(
    msg_id: &str,
    unique: &str,
    answer: ReplyContent<'_, R>,
) -> String {
    let mut out = Vec::new();
    encode::reply(&mut out, &Reply { msg_id, unique_id: id(unique), content: answer }).unwrap();
    String::from_utf8(out).unwrap()
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

const REPLY_QUEUE: &str = "reply_e6593370a5e24c1282aa1f5acb900892";

#[test]
fn requests_are_written_as_python_writes_them() {
    let (context, empty) = (alice(), Context::new());
    let call = Request {
        method: "echo",
        args: &Args { arg: sample() },
        namespace: Some("ns1"),
        version: Some("1.2"),
        context: &context,
        unique_id: id("dccff6ac859e4ed0aaf5e5c57ea45e2d"),
        call: Some(CallFields {
            msg_id: id("417e7e5b5924497baec0ca3bd03f0870"),
            reply_queue: REPLY_QUEUE,
            monitor: None,
        }),
    };
    assert_eq!(request_text(&call), golden!("call"));
    let mut bare = Request {
        method: "echo",
        args: &Args { arg: "nullns" },
        namespace: None,
        version: None,
        context: &empty,
        unique_id: id("8658aac27eb94b0dae69865c9f555744"),
        call: Some(CallFields {
            msg_id: id("2e2177675b0a48369378129d380ea5e5"),
            reply_queue: REPLY_QUEUE,
            monitor: None,
        }),
    };
    assert_eq!(request_text(&bare), golden!("call_bare"));
    bare.call.as_mut().unwrap().monitor = Some(std::time::Duration::from_secs(2));
    assert_eq!(request_text(&bare), golden!("call_monitored"));
    let mut cast = Request {
        method: "note",
        args: &Args { arg: "cast" },
        unique_id: id("378f0f3853df409b94993b60dddb7edd"),
        call: None,
        context: &context,
        namespace: Some("ns1"),
        version: Some("1.2"),
    };
    assert_eq!(request_text(&cast), golden!("cast"));
    cast.args = &Args { arg: "fanout" };
    cast.unique_id = id("3640f1e57a0545789ce32ecbcc8cb36c");
    assert_eq!(request_text(&cast), golden!("fanout"));
}

#[test]
fn replies_are_written_as_python_writes_them() {
    let answer = ReplyContent::Result(&sample());
    let text =
        reply_text("417e7e5b5924497baec0ca3bd03f0870", "09152e1febe1469c944b9cb19faf688f", answer);
    assert_eq!(text, golden!("reply"));
    let text = reply_text(
        "345197b2abc747fabc7d3f6e24e3ff47",
        "f30c6e566a6247e1a39d36602d4eb98d",
        ReplyContent::Result(&()),
    );
    assert_eq!(text, golden!("reply_none"));
    let text = reply_text::<()>(
        "7c36f82f7c764882abc8571747c78c14",
        "4397b6d90632439fa3cf87da9eafc304",
        ReplyContent::Heartbeat,
    );
    assert_eq!(text, golden!("reply_heartbeat"));
    let failure = bad_value();
    let text = reply_text::<()>(
        "88b8ccc9ddf84608a9fadef3502d20b1",
        "254b5542978048a994646d0f0d6a3430",
        ReplyContent::Failure(&failure),
    );
    assert_eq!(text, golden!("reply_failure"));
}

fn bad_value() -> Failure {
    Failure::builtin("ValueError", "('bad value', 42)")
        .with_args([json!("bad value"), json!(42)])
        .with_traceback([
            "Traceback (most recent call last):\n".into(),
            "  File \"<stdin>\", line 21, in <module>\n".into(),
            "  File \"<stdin>\", line 20, in f\n".into(),
            "ValueError: ('bad value', 42)\n".into(),
        ])
}

#[test]
fn requests_of_python_are_read() {
    let mut scratch = Scratch::default();
    let call = decode::request(golden!("call").as_bytes(), &mut scratch).unwrap();
    assert_eq!(call.method.as_deref(), Some("echo"));
    let args: Value = call.args.unwrap().read().unwrap();
    assert_eq!(args, json!({"arg": {"x": "hé", "l": [1, 2.5, null]}}));
    assert_eq!((call.namespace.as_deref(), call.version.as_deref()), (Some("ns1"), Some("1.2")));
    assert_eq!(call.msg_id.as_deref(), Some("417e7e5b5924497baec0ca3bd03f0870"));
    assert_eq!(call.reply_queue.as_deref(), Some(REPLY_QUEUE));
    assert_eq!(call.unique_id.as_deref(), Some("dccff6ac859e4ed0aaf5e5c57ea45e2d"));
    assert_eq!(call.context, alice());
    let call = decode::request(golden!("call_monitored").as_bytes(), &mut scratch).unwrap();
    assert_eq!(call.context.client_timeout(), Some(2.0));
    assert!(call.namespace.is_none() && call.version.is_none());
    for cast in [golden!("cast"), golden!("fanout")] {
        let cast = decode::request(cast.as_bytes(), &mut scratch).unwrap();
        assert!(cast.msg_id.is_none() && cast.reply_queue.is_none());
        assert_eq!(cast.context, alice());
    }
}

#[test]
fn replies_of_python_are_read() {
    let mut scratch = Scratch::default();
    let reply = decode::reply(golden!("reply").as_bytes(), &mut scratch).unwrap();
    assert!(reply.is_ending && reply.failure.is_none());
    assert_eq!(reply.msg_id.as_deref(), Some("417e7e5b5924497baec0ca3bd03f0870"));
    let result = Encoded::json(br#"{"x": "h\u00e9", "l": [1, 2.5, null]}"#);
    assert_eq!(reply.result.unwrap(), result);
    let reply = decode::reply(golden!("reply_none").as_bytes(), &mut scratch).unwrap();
    assert!(reply.is_ending && reply.result.is_none());
    let reply = decode::reply(golden!("reply_heartbeat").as_bytes(), &mut scratch).unwrap();
    assert!(!reply.is_ending && reply.result.is_none() && reply.failure.is_none());
    let reply = decode::reply(golden!("reply_failure").as_bytes(), &mut scratch).unwrap();
    assert_eq!(reply.failure.unwrap(), bad_value());
}

#[test]
fn errors_of_the_dispatcher_are_those_of_oslo() {
    for (body, ours) in [
        (golden!("reply_no_such_method"), Failure::no_such_method("hé")),
        (golden!("reply_unsupported_version"), Failure::unsupported_version("1.9", "echo")),
    ] {
        let mut scratch = Scratch::default();
        let theirs = decode::reply(body.as_bytes(), &mut scratch).unwrap().failure.unwrap();
        assert_eq!(ours.clone().with_traceback(theirs.traceback().to_vec()), theirs);
    }
}

#[test]
fn the_call_of_a_reply_is_found_in_its_last_bytes() {
    for (body, found) in [
        (golden!("reply"), Peek::Reply(id("417e7e5b5924497baec0ca3bd03f0870"))),
        (golden!("reply_heartbeat"), Peek::Heartbeat(id("7c36f82f7c764882abc8571747c78c14"))),
        (golden!("reply_failure"), Peek::Reply(id("88b8ccc9ddf84608a9fadef3502d20b1"))),
    ] {
        let tail = &body.as_bytes()[body.len().saturating_sub(TAIL_BYTES)..];
        assert_eq!(peek::reply(tail), found);
        for cut in 1..tail.len() {
            assert_eq!(peek::reply(&tail[..cut]), Peek::Unsure, "cut at {cut}");
        }
    }
}

#[test]
fn the_first_of_an_old_servers_two_messages_is_no_heartbeat() {
    let first = golden!("reply").replace(r#"\"ending\": true"#, r#"\"ending\": false"#);
    let found = Peek::Reply(id("417e7e5b5924497baec0ca3bd03f0870"));
    assert_eq!(
        peek::reply(first.as_bytes()),
        found,
        "old servers send `ending` in a second message"
    );
}

#[test]
fn a_result_cannot_forge_an_id() {
    let forged = golden!("reply_none");
    let text = reply_text(&"0".repeat(32), &"1".repeat(32), ReplyContent::Result(forged));
    assert_eq!(peek::reply(text.as_bytes()), Peek::Reply(id(&"0".repeat(32))));
    assert_eq!(peek::reply(golden!("call").as_bytes()), Peek::Unsure);
    let other_order = r#"{"oslo.version": "2.0", "oslo.message": "{\"_unique_id\": \"a\"}"}"#;
    assert_eq!(peek::reply(other_order.as_bytes()), Peek::Unsure);
}

fn decoded(body: &str) -> Result<Option<String>, DecodeError> {
    let mut scratch = Scratch::default();
    let request = decode::request(body.as_bytes(), &mut scratch)?;
    Ok(request.method.map(|method| method.into_owned()))
}

#[test]
fn the_envelope_is_read_by_the_rules_of_oslo() {
    let enveloped = |version: &str| {
        format!(r#"{{"oslo.version": "{version}", "oslo.message": "{{\"method\": \"m\"}}"}}"#)
    };
    assert_eq!(decoded(&enveloped("2.0")), Ok(Some("m".into())));
    for version in ["2.1", "1.0", "3.0", "x"] {
        let refused = DecodeError::EnvelopeVersion(format!("\"{version}\""));
        assert_eq!(decoded(&enveloped(version)), Err(refused));
    }
    assert_eq!(decoded(r#"{"method": "m", "args": {}}"#), Ok(Some("m".into())), "message 1.0");
    assert_eq!(decoded(r#"{"args": {}}"#), Ok(None), "the dispatcher refuses a missing method");
    for broken in [
        "[1]",
        "\"text\"",
        "{",
        "",
        r#"{"oslo.version": "2.0", "oslo.message": "{"}"#,
        r#"{"oslo.version": "2.0", "oslo.message": "[]"}"#,
        r#"{"oslo.version": "2.0", "oslo.message": "\"x\""}"#,
    ] {
        assert!(matches!(decoded(broken), Err(DecodeError::Json(_))), "{broken}");
    }
    let number = r#"{"oslo.version": "2.0", "oslo.message": 5}"#;
    assert_eq!(decoded(number), Err(DecodeError::EnvelopeMessage));
}

#[test]
fn other_spellings_of_the_envelope_are_read() {
    let compact = r#"{"oslo.message":"{\"method\":\"h\\u00e9\"}","oslo.version":"2.0"}"#;
    assert_eq!(decoded(compact), Ok(Some("hé".into())));
    let raw = r#"{"oslo.version": "2.0", "oslo.message": "{\"method\": \"hé\"}"}"#;
    assert_eq!(decoded(raw), Ok(Some("hé".into())));
    let escaped = r#"{"oslo.version": "2.0", "oslo.message": "{\u0022method\": \"m\"}"}"#;
    assert_eq!(decoded(escaped), Ok(Some("m".into())));
    let lone = r#"{"oslo.version": "2.0", "oslo.message": "{\"method\": \"a\\ud800b\"}"}"#;
    assert_eq!(decoded(lone), Ok(Some("a\u{fffd}b".into())));
    let nan =
        r#"{"oslo.version": "2.0", "oslo.message": "{\"method\": \"m\", \"_context_n\": NaN}"}"#;
    assert_eq!(decoded(nan), Ok(Some("m".into())));
}

#[test]
fn other_content_types_are_refused() {
    assert_eq!(check_content(Some("application/json")), Ok(()));
    assert!(check_content(None).is_err());
    assert!(check_content(Some("text/plain")).is_err());
}

#[test]
fn properties_are_those_python_sends() {
    // The content header of a call with a timeout of 3 s, as captured from Python's driver.
    let mut captured = vec![0x00, 0x3c, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0x27, 0xf9, 0x00, 0x10];
    captured.extend_from_slice(b"application/json\x05utf-8\0\0\0\0\x02\x00\x043000");
    let mut frame = Vec::new();
    let timeout = std::time::Duration::from_secs(3);
    properties::message(Some(timeout)).encode_frame(1, 0x127, &mut frame);
    assert_eq!(&frame[7..frame.len() - 1], captured, "between frame header and end octet");
    let half = properties::message(Some(std::time::Duration::from_millis(500)));
    assert_eq!(half.expiration(), Some("500"));
    assert_eq!(properties::message(None).expiration(), None, "a cast does not expire");
}

#[test]
fn a_reply_that_is_sent_again_gets_a_new_unique_id() {
    let mut body = golden!("reply").as_bytes().to_vec();
    encode::renew_unique_id(&mut body, id("00000000000000000000000000000007"));
    let old = "09152e1febe1469c944b9cb19faf688f";
    let renewed = golden!("reply").replace(old, "00000000000000000000000000000007");
    assert_eq!(String::from_utf8(body).unwrap(), renewed);
    encode::renew_unique_id(&mut [0; 5], id("00000000000000000000000000000007"));
}

#[test]
fn arguments_must_be_an_object() {
    let context = Context::new();
    let mut out = Vec::new();
    let request = |args| Request {
        method: "m",
        args,
        namespace: None,
        version: None,
        context: &context,
        unique_id: id(&"0".repeat(32)),
        call: None,
    };
    let bare = json!([1]);
    assert_eq!(encode::request(&mut out, &request(&bare)), Err(EncodeError::BareArguments));
    assert!(out.is_empty(), "nothing is left of a refused request");
    assert!(request_text(&request(&Value::Null)).contains(r#"\"args\": {}"#));
}

proptest! {
    #[test]
    fn a_request_that_is_written_is_read_back(
        method in ".*", namespace in proptest::option::of(".*"), text in ".*", key in "[a-z]{1,9}"
    ) {
        let context = Context::new().with(key, text.clone());
        let args = json!({ "text": text });
        let body = request_text(&Request {
            method: &method,
            args: &args,
            namespace: namespace.as_deref(),
            version: None,
            context: &context,
            unique_id: id(&"0".repeat(32)),
            call: None,
        });
        let mut scratch = Scratch::default();
        let received = decode::request(body.as_bytes(), &mut scratch).unwrap();
        prop_assert_eq!(received.method.as_deref(), Some(method.as_str()));
        prop_assert_eq!(received.namespace, namespace.map(Into::into));
        prop_assert_eq!(received.args.unwrap().read::<Value>().unwrap(), args);
        prop_assert_eq!(received.context, context);
    }

    #[test]
    fn garbage_does_not_panic(body in prop::collection::vec(any::<u8>(), 0..80)) {
        let mut scratch = Scratch::default();
        let _ = decode::request(&body, &mut scratch);
        let _ = decode::reply(&body, &mut scratch);
        let _ = peek::reply(&body);
    }
}
