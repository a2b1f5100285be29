//! The six hot methods, compared with literal bytes and with amq-protocol.

use amq_protocol::frame::AMQPFrame;
use amq_protocol::protocol::{AMQPClass, basic};
use proptest::prelude::*;

use super::*;
use crate::wire::oracle;
use crate::wire::oracle::{Damage, short};

/// Converts a method to amq-protocol's structure.
fn to_oracle(method: &HotMethod<'_>) -> AMQPClass {
    AMQPClass::Basic(match *method {
        HotMethod::Publish(method) => basic::AMQPMethod::Publish(basic::Publish {
            exchange: method.exchange.into(),
            routing_key: method.routing_key.into(),
            mandatory: method.mandatory,
            immediate: method.immediate,
        }),
        HotMethod::Deliver(method) => basic::AMQPMethod::Deliver(basic::Deliver {
            consumer_tag: method.consumer_tag.into(),
            delivery_tag: method.delivery_tag,
            redelivered: method.redelivered,
            exchange: method.exchange.into(),
            routing_key: method.routing_key.into(),
        }),
        HotMethod::Return(method) => basic::AMQPMethod::Return(basic::Return {
            reply_code: method.reply_code,
            reply_text: method.reply_text.into(),
            exchange: method.exchange.into(),
            routing_key: method.routing_key.into(),
        }),
        HotMethod::Ack(method) => basic::AMQPMethod::Ack(basic::Ack {
            delivery_tag: method.delivery_tag,
            multiple: method.multiple,
        }),
        HotMethod::Nack(method) => basic::AMQPMethod::Nack(basic::Nack {
            delivery_tag: method.delivery_tag,
            multiple: method.multiple,
            requeue: method.requeue,
        }),
        HotMethod::Reject(method) => basic::AMQPMethod::Reject(basic::Reject {
            delivery_tag: method.delivery_tag,
            requeue: method.requeue,
        }),
    })
}

fn encode(method: &HotMethod<'_>, out: &mut Vec<u8>) {
    match method {
        HotMethod::Publish(method) => method.encode(out),
        HotMethod::Deliver(method) => method.encode(out),
        HotMethod::Return(method) => method.encode(out),
        HotMethod::Ack(method) => method.encode(out),
        HotMethod::Nack(method) => method.encode(out),
        HotMethod::Reject(method) => method.encode(out),
    }
}

fn encode_frame(method: &HotMethod<'_>, channel: u16, out: &mut Vec<u8>) {
    match method {
        HotMethod::Publish(method) => method.encode_frame(channel, out),
        HotMethod::Deliver(method) => method.encode_frame(channel, out),
        HotMethod::Return(method) => method.encode_frame(channel, out),
        HotMethod::Ack(method) => method.encode_frame(channel, out),
        HotMethod::Nack(method) => method.encode_frame(channel, out),
        HotMethod::Reject(method) => method.encode_frame(channel, out),
    }
}

/// Calls `check` with one of the six methods, built from these parts.
fn with_method(parts: &Parts, check: impl FnOnce(HotMethod<'_>)) {
    let Parts { which, tag, code, bits: [a, b], texts: [x, y, z] } = parts;
    check(match which {
        0 => HotMethod::Publish(Publish {
            exchange: x,
            routing_key: y,
            mandatory: *a,
            immediate: *b,
        }),
        1 => HotMethod::Deliver(Deliver {
            consumer_tag: x,
            delivery_tag: *tag,
            redelivered: *a,
            exchange: y,
            routing_key: z,
        }),
        2 => HotMethod::Return(Return {
            reply_code: *code,
            reply_text: x,
            exchange: y,
            routing_key: z,
        }),
        3 => HotMethod::Ack(Ack { delivery_tag: *tag, multiple: *a }),
        4 => HotMethod::Nack(Nack { delivery_tag: *tag, multiple: *a, requeue: *b }),
        _ => HotMethod::Reject(Reject { delivery_tag: *tag, requeue: *a }),
    });
}

#[derive(Clone, Debug)]
struct Parts {
    which: u8,
    tag: u64,
    code: u16,
    bits: [bool; 2],
    texts: [String; 3],
}

fn parts() -> impl Strategy<Value = Parts> {
    let texts = [short(), short(), short()];
    (0..6u8, any::<u64>(), any::<u16>(), any::<[bool; 2]>(), texts)
        .prop_map(|(which, tag, code, bits, texts)| Parts { which, tag, code, bits, texts })
}

#[test]
fn a_deliver_matches_literal_bytes() {
    let payload = b"\x00\x3c\x00\x3c\x02ct\x00\x00\x00\x00\x00\x00\x01\x02\x01\x01e\x02rk";
    let deliver = Deliver {
        consumer_tag: "ct",
        delivery_tag: 258,
        redelivered: true,
        exchange: "e",
        routing_key: "rk",
    };
    assert_eq!(HotMethod::parse(payload), Ok(Some(HotMethod::Deliver(deliver))));
    let mut out = Vec::new();
    deliver.encode(&mut out);
    assert_eq!(out, payload);
}

#[test]
fn a_publish_matches_literal_bytes() {
    let publish = Publish { exchange: "", routing_key: "q", mandatory: true, immediate: false };
    let mut out = Vec::new();
    publish.encode_frame(1, &mut out);
    assert_eq!(out, b"\x01\x00\x01\x00\x00\x00\x0a\x00\x3c\x00\x28\x00\x00\x00\x01q\x01\xce");
}

#[test]
fn every_cut_of_every_method_is_reported_as_truncated() {
    for which in 0..6 {
        let texts = ["a".into(), "bc".into(), "def".into()];
        let parts = Parts { which, tag: 9, code: 312, bits: [true, true], texts };
        with_method(&parts, |method| {
            let mut payload = Vec::new();
            encode(&method, &mut payload);
            for end in 0..payload.len() {
                assert_eq!(HotMethod::parse(&payload[..end]), Err(WireError::Truncated));
            }
            payload.push(0);
            assert_eq!(HotMethod::parse(&payload), Err(WireError::TrailingBytes { count: 1 }));
        });
    }
}

#[test]
fn a_cold_method_is_not_parsed() {
    assert_eq!(HotMethod::parse(&[0, 10, 0, 51]), Ok(None));
    assert_eq!(HotMethod::parse(&[0, 60, 0, 71, 1]), Ok(None), "get-ok is not hot");
    assert_eq!(HotMethod::parse(&[0xff, 0xff, 0xff, 0xff]), Ok(None));
    assert_eq!(HotMethod::parse(&[0, 10, 0]), Err(WireError::Truncated));
}

#[test]
fn unused_bits_are_ignored() {
    let ack = [0, 60, 0, 80, 0, 0, 0, 0, 0, 0, 0, 7, 0xfe];
    let parsed = HotMethod::parse(&ack);
    assert_eq!(parsed, Ok(Some(HotMethod::Ack(Ack { delivery_tag: 7, multiple: false }))));
    assert!(oracle::method(&ack).is_some());
}

#[test]
fn names_of_255_bytes_fit_and_longer_ones_do_not() {
    let longest = "x".repeat(255);
    let publish = Publish { exchange: &longest, routing_key: &longest, ..Publish::default() };
    assert_eq!(publish.check(), Ok(()));
    let mut payload = Vec::new();
    publish.encode(&mut payload);
    assert_eq!(HotMethod::parse(&payload), Ok(Some(HotMethod::Publish(publish))));
    let longer = "x".repeat(256);
    let publish = Publish { exchange: &longer, ..Publish::default() };
    assert_eq!(publish.check(), Err(WireError::ShortStringTooLong { len: 256 }));
}

proptest! {
    #[test]
    fn amq_protocol_writes_the_same_bytes_and_reads_the_same_values(
        parts in parts(),
        channel in any::<u16>(),
    ) {
        with_method(&parts, |method| {
            let class = to_oracle(&method);
            let mut payload = Vec::new();
            encode(&method, &mut payload);
            assert_eq!(payload, oracle::method_bytes(&class));
            assert_eq!(HotMethod::parse(&payload), Ok(Some(method)));
            let mut framed = Vec::new();
            encode_frame(&method, channel, &mut framed);
            assert_eq!(framed, oracle::frame_bytes(&AMQPFrame::Method(channel, class)));
        });
    }

    #[test]
    fn both_refuse_the_same_broken_payloads(parts in parts(), damage in Damage::any()) {
        with_method(&parts, |method| {
            let mut payload = Vec::new();
            encode(&method, &mut payload);
            damage.apply(&mut payload);
            match HotMethod::parse(&payload) {
                Ok(Some(method)) => assert_eq!(oracle::method(&payload), Some(to_oracle(&method))),
                Ok(None) => (),
                Err(_) => assert_eq!(oracle::method(&payload), None),
            }
        });
    }
}
