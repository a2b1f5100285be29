//! The memory a hostile message costs: at most 40 times its size, or the limit that holds for every
//! message.
//!
//! A counting allocator measures it, so the tests need their own process. The broker runs in that
//! process too, with a few copies of each body. One test at a time measures.
#![expect(clippy::disallowed_methods, reason = "tests of real brokers need the real clock")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod alloc;
mod bombs;
mod forged;
mod peer;

use std::io::Write as _;

use leveret::{ErrorKind, Outcome, RpcClient, Target};
use serde_json::Value;

use bombs::{JSON, MSGPACK, array_of, enveloped, json_request, msgpack_request};
use peer::{Peer, Shape};

/// One MiB; also the allowance for threads and buffers that the first message allocates.
const MIB: usize = 1 << 20;

/// The queues of one server, and the format of requests on them.
const KOMBU: Shape = Shape { queue: "t", content_type: JSON, is_pika: false };
const PIKA: Shape = Shape { queue: "with_ack.t", content_type: JSON, is_pika: true };
const PACKED: Shape = Shape { queue: "with_ack.t", content_type: MSGPACK, is_pika: true };

#[track_caller]
fn at_most(name: &str, cost: usize, limit: usize) {
    assert!(cost <= limit, "{name}: {cost} bytes, the limit is {limit}");
}

#[test]
fn a_context_beyond_the_budget_costs_little_and_is_answered() {
    let mut peer = Peer::start();
    let bomb = array_of(r#"{"":0}"#, 1_000_000);
    let packed = bombs::packed_array_of(&[0x81, 0xa0, 0x00], 1_000_000);
    for (name, shape, body) in [
        ("kombu", KOMBU, enveloped(&json_request("none", "{}", "_context_c", &bomb)).into_bytes()),
        ("bare kombu", KOMBU, json_request("none", "{}", "_context_c", &bomb).into_bytes()),
        ("pika", PIKA, json_request("none", "{}", "_$_c", &bomb).into_bytes()),
        ("msgpack", PACKED, msgpack_request("none", &[0x80], "_$_c", &packed)),
    ] {
        let cost = peer.refused(&shape, None, &body);
        at_most(name, cost, 10 * body.len());
    }
}

#[test]
fn a_context_that_nobody_asks_for_stays_text() {
    let mut peer = Peer::start();
    let bomb = array_of(r#"{"":0}"#, 20_000);
    let packed = bombs::packed_array_of(&[0x81, 0xa0, 0x00], 20_000);
    for (name, shape, body) in [
        ("kombu", KOMBU, enveloped(&json_request("none", "{}", "_context_c", &bomb)).into_bytes()),
        ("pika", PIKA, json_request("none", "{}", "_$_c", &bomb).into_bytes()),
        ("msgpack", PACKED, msgpack_request("none", &[0x80], "_$_c", &packed)),
    ] {
        let cost = peer.served(&shape, body.as_ref());
        at_most(name, cost, 10 * body.len() + MIB);
    }
    let body = json_request("context", "{}", "_$_c", &bomb);
    let cost = peer.served(&PIKA, body.as_ref());
    at_most("asked for", cost, 17 * MIB);
}

#[test]
fn many_entries_of_a_context_cost_in_proportion() {
    let mut peer = Peer::start();
    for (name, count) in [("different", usize::MAX), ("the same", 1)] {
        let entries = (0..60_000).map(|n| format!(r#", "_context_{}":0"#, n % count));
        let rest: String = entries.collect();
        let body = json_request("none", "{}", "_context_c", &format!("0{rest}"));
        let cost = peer.served(&KOMBU, body.as_ref());
        at_most(name, cost, 40 * body.len());
    }
}

#[test]
fn arguments_are_within_the_budget_whatever_their_type() {
    let mut peer = Peer::start();
    for (name, args) in [
        ("numbers", array_of("0", 900_000)),
        ("texts", array_of(r#""""#, 900_000)),
        ("empty objects", array_of("{}", 900_000)),
        ("objects", array_of(r#"{"key": "0123456789"}"#, 200_000)),
        ("text", format!("\"{}\"", "x".repeat(10 * MIB))),
    ] {
        let body = json_request("value", &format!(r#"{{"arg": {args}}}"#), "_context_c", "0");
        let cost = peer.served(&KOMBU, body.as_ref());
        at_most(name, cost, 40 * body.len());
    }
    for (name, args) in [
        ("tiny objects", array_of(r#"{"":0}"#, 300_000)),
        ("tiny arrays", array_of("[[[0]]]", 200_000)),
        ("levels", format!("{}{}", "[".repeat(200_000), "]".repeat(200_000))),
        ("too many", array_of("0", 1_100_000)),
    ] {
        let args = format!(r#"{{"arg": {args}}}"#);
        let body = json_request("value", &args, "_context_c", "0");
        let cost = peer.refused(&KOMBU, None, body.as_ref());
        at_most(name, cost, 10 * body.len());
        let cost = peer.refused(&PIKA, None, body.as_ref());
        at_most(name, cost, 10 * body.len());
    }
    for (name, args) in [
        ("packed levels", [&[0x91; 200_000][..], &[0]].concat()),
        ("packed numbers", bombs::packed_array_of(&[0], 900_000)),
    ] {
        let args = [&[0x81, 0xa3, b'a', b'r', b'g'], &args[..]].concat();
        let body = msgpack_request("value", &args, "_$_c", &[0]);
        let cost = peer.refused(&PACKED, None, &body);
        at_most(name, cost, 10 * body.len());
    }
}

#[test]
fn an_envelope_of_another_spelling_is_no_way_around() {
    let mut peer = Peer::start();
    let bomb = array_of(r#"{"":0}"#, 500_000);
    for body in [
        format!(r#"{{"oslo.message": {bomb}, "oslo.version": "2.0"}}"#),
        format!(r#"{{"oslo.message": "{{}}", "oslo.version": {bomb}}}"#),
    ] {
        let cost = peer.dropped(&KOMBU, None, body.as_ref());
        at_most("envelope", cost, 10 * body.len());
    }
}

fn deflated(text: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    out.write_all(text).unwrap();
    out.finish().unwrap()
}

#[test]
fn what_was_compressed_is_within_its_own_bound() {
    let mut peer = Peer::start();
    let bomb = json_request("none", "{}", "_context_c", &array_of(r#"{"":0}"#, 9_000_000));
    assert!(bomb.len() < 64 * MIB);
    let body = deflated(bomb.as_ref());
    assert!(body.len() < 200_000);
    let cost = peer.refused(&KOMBU, Some("application/x-gzip"), &body);
    at_most("within", cost, bomb.len() + 16 * MIB);
    let body = deflated(&vec![b' '; 200 * MIB]);
    let cost = peer.dropped(&KOMBU, Some("application/x-gzip"), &body);
    at_most("beyond", cost, 16 * MIB);
}

#[test]
fn a_reply_beyond_the_budget_is_an_error_at_once() {
    let peer = Peer::start();
    let client = RpcClient::new(&peer.transport, Target::new("other"));
    let result = array_of(r#"{"":0}"#, 500_000);
    let failure = format!(r#"{{"class": "E", "module": "m", "message": "x", "args": {result}}}"#);
    for (result, failure) in
        [(&*result, Value::Null.to_string()), ("null", Value::from(failure).to_string())]
    {
        let (answer, cost, bytes) = peer.answered(&client, |msg_id| {
            let tail = format!(r#""ending": true, "_msg_id": "{msg_id}""#);
            enveloped(&format!(r#"{{"result": {result}, "failure": {failure}, {tail}}}"#))
        });
        let error = answer.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidReply, "{error}");
        assert_eq!(error.outcome(), Some(Outcome::Answered));
        at_most("reply", cost, 10 * bytes);
    }
    let (answer, ..) = peer.answered(&client, |msg_id| {
        enveloped(&format!(r#"{{"result": 5, "ending": true, "_msg_id": "{msg_id}"}}"#))
    });
    assert_eq!(answer.unwrap(), 5);
}

#[test]
fn a_notification_is_within_the_budget() {
    let mut peer = Peer::start();
    let bomb = array_of(r#"{"":0}"#, 500_000);
    let notification = |context: &str, payload: &str| {
        format!(r#"{{"priority": "INFO", "payload": {payload}, "_context_c": {context}}}"#)
    };
    for body in [notification(&bomb, "1"), notification("1", &bomb)] {
        let before = peer.listener.stats().undecodable;
        let cost = peer.cost(&Shape { queue: "n.info", ..KOMBU }, None, body.as_ref(), |peer| {
            peer.listener.stats().undecodable > before
        });
        at_most("refused", cost, 10 * body.len());
    }
    let body = notification(&array_of(r#"{"":0}"#, 20_000), "1");
    let before = peer.listener.stats().handled;
    let cost = peer.cost(&Shape { queue: "n.info", ..KOMBU }, None, body.as_ref(), |peer| {
        peer.listener.stats().handled > before
    });
    at_most("not asked for", cost, 10 * body.len() + MIB);
}
