//! Messages: routed, stored, delivered, acknowledged, returned, confirmed, expired.

use amq_protocol::protocol::{AMQPClass, basic, queue};

use crate::loopback::tests::client::{Client, arguments, start};
use crate::wire::frame::FrameKind;
use crate::wire::hot::{Ack, HotMethod, Nack, Publish, Reject, Return};
use crate::wire::properties::Properties;

fn ack(client: &mut Client, delivery_tag: u64, multiple: bool) {
    let mut out = Vec::new();
    Ack { delivery_tag, multiple }.encode_frame(1, &mut out);
    client.write(&out);
}

fn declare_queue_with(client: &mut Client, name: &str, entries: &[(&str, i32)]) {
    let arguments = arguments(entries);
    client.declare(queue::Declare { queue: name.into(), arguments, ..queue::Declare::default() });
}

/// Reads confirms until publication `last` is settled; returns true for each that was acked.
fn confirms(client: &mut Client, last: u64) -> Vec<bool> {
    let mut settled = Vec::new();
    while (settled.len() as u64) < last {
        let frame = client.frame();
        let (tag, multiple, is_ack) = match HotMethod::parse(&frame.payload).unwrap() {
            Some(HotMethod::Ack(ack)) => (ack.delivery_tag, ack.multiple, true),
            Some(HotMethod::Nack(nack)) => (nack.delivery_tag, nack.multiple, false),
            other => panic!("expected a confirm, got {other:?}"),
        };
        let count = tag - settled.len() as u64;
        assert!(multiple || count == 1);
        settled.extend((0..count).map(|_| is_ack));
    }
    settled
}

#[test]
fn a_message_arrives_as_it_was_sent() {
    let loopback = start();
    let mut client = Client::with_channel(loopback.addr());
    client.declare_queue("q");
    let properties = Properties::new()
        .with_content_type("application/json")
        .with_headers(arguments(&[("retries", 3)]))
        .with_message_id("m-1");
    let publish = Publish { routing_key: "q", ..Publish::default() };
    for body in [&b""[..], b"x", &[7; 300_000]] {
        client.publish_with(&publish, &properties, body);
    }
    client.consume("q", "c", true);
    for (tag, body) in [(1, &b""[..]), (2, b"x"), (3, &[7; 300_000])] {
        let message = client.delivery();
        assert_eq!((message.tag, message.redelivered), (tag, false));
        assert_eq!((message.exchange.as_str(), message.routing_key.as_str()), ("", "q"));
        assert_eq!(message.properties, properties);
        assert!(message.body == body, "body of {} bytes", body.len());
    }
    assert_eq!(loopback.stats().delivered, 3);
}

#[test]
fn frames_may_arrive_one_byte_at_a_time() {
    let loopback = start();
    let mut client = Client::with_channel(loopback.addr());
    client.declare_queue("q");
    let mut bytes = Vec::new();
    Publish { routing_key: "q", ..Publish::default() }.encode_frame(1, &mut bytes);
    Properties::new().encode_frame(1, 5, &mut bytes);
    // two body frames of one body
    crate::wire::write_body_frames(&mut bytes, 1, b"hel", 4096);
    crate::wire::write_body_frames(&mut bytes, 1, b"lo", 4096);
    for byte in bytes {
        client.write(&[byte]);
    }
    assert_eq!(client.get("q", true).unwrap().body, b"hello");
}

#[test]
fn exchanges_route_by_their_kind() {
    let loopback = start();
    let mut client = Client::with_channel(loopback.addr());
    for (exchange, kind) in [("d", "direct"), ("f", "fanout"), ("t", "topic")] {
        client.declare_exchange(exchange, kind);
        for (queue, key) in [("1", "a.b"), ("2", "a.*")] {
            let queue = format!("{exchange}{queue}");
            client.declare_queue(&queue);
            client.bind(&queue, exchange, key);
        }
    }
    for exchange in ["d", "f", "t"] {
        client.publish(exchange, "a.b", b"1");
        client.publish(exchange, "a.c", b"2");
        client.publish(exchange, "z", b"3");
    }
    client.sync();
    let lengths = ["d1", "d2", "f1", "f2", "t1", "t2"].map(|queue| loopback.queue_len("/", queue));
    assert_eq!(lengths, [1, 0, 3, 3, 1, 2].map(Some));
}

#[test]
fn consumers_receive_messages_round_robin() {
    let loopback = start();
    let mut client = Client::with_channel(loopback.addr());
    client.declare_queue("q");
    let mut consumers: Vec<Client> =
        (0..3).map(|_| Client::with_channel(loopback.addr())).collect();
    for consumer in &mut consumers {
        consumer.consume("q", "c", true);
    }
    for number in 0..9u8 {
        client.publish("", "q", &[number]);
    }
    for (index, consumer) in (0u8..).zip(&mut consumers) {
        let bodies: Vec<u8> = (0..3).map(|_| consumer.delivery().body[0]).collect();
        assert_eq!(bodies, [index, index + 3, index + 6]);
    }
}

#[test]
fn prefetch_holds_deliveries_back_until_they_are_acknowledged() {
    let loopback = start();
    let mut client = Client::with_channel(loopback.addr());
    client.declare_queue("q");
    client.qos(2, false);
    client.consume("q", "c", false);
    for number in 0..5u8 {
        client.publish("", "q", &[number]);
    }
    assert_eq!(client.delivery().body, [0]);
    assert_eq!(client.delivery().body, [1]);
    client.sync();
    assert_eq!(loopback.queue_len("/", "q"), Some(3));
    ack(&mut client, 1, false);
    assert_eq!(client.delivery().body, [2]);
    ack(&mut client, 3, true);
    assert_eq!(client.delivery().body, [3]);
    assert_eq!(client.delivery().body, [4]);
    ack(&mut client, 0, true);
    client.sync();
    assert_eq!(loopback.stats().acked, 5);
}

#[test]
fn a_channel_wide_prefetch_is_shared_by_its_consumers() {
    let loopback = start();
    let mut client = Client::with_channel(loopback.addr());
    client.qos(1, true);
    for queue in ["a", "b"] {
        client.declare_queue(queue);
        client.consume(queue, queue, false);
    }
    client.publish("", "a", b"a");
    client.publish("", "b", b"b");
    assert_eq!(client.delivery().body, b"a");
    ack(&mut client, 1, false);
    assert_eq!(client.delivery().body, b"b");
}

#[test]
fn a_rejected_message_is_redelivered_from_its_old_position() {
    let loopback = start();
    let mut client = Client::with_channel(loopback.addr());
    client.declare_queue("q");
    for number in 0..3u8 {
        client.publish("", "q", &[number]);
    }
    let first = client.get("q", false).unwrap();
    let second = client.get("q", false).unwrap();
    let mut out = Vec::new();
    Nack { delivery_tag: second.tag, multiple: false, requeue: true }.encode_frame(1, &mut out);
    Reject { delivery_tag: first.tag, requeue: true }.encode_frame(1, &mut out);
    client.write(&out);
    for (body, redelivered) in [(0, true), (1, true), (2, false)] {
        let message = client.get("q", true).unwrap();
        assert_eq!((message.body[0], message.redelivered), (body, redelivered));
    }

    client.publish("", "q", b"dropped");
    let tag = client.get("q", false).unwrap().tag;
    out.clear();
    Reject { delivery_tag: tag, requeue: false }.encode_frame(1, &mut out);
    client.write(&out);
    assert_eq!(client.get("q", true), None);
}

#[test]
fn messages_of_a_lost_consumer_return_to_the_queue() {
    let loopback = start();
    let mut client = Client::with_channel(loopback.addr());
    client.declare_queue("q");
    client.publish("", "q", b"1");
    client.publish("", "q", b"2");
    let mut lost = Client::with_channel(loopback.addr());
    lost.consume("q", "c", false);
    assert_eq!(lost.delivery().body, b"1");
    drop(lost);
    client.consume("q", "c", false);
    for body in [b"1", b"2"] {
        let message = client.delivery();
        assert_eq!((&message.body[..], message.redelivered), (&body[..], true));
    }
}

#[test]
fn an_unknown_delivery_tag_closes_the_channel() {
    let loopback = start();
    let mut client = Client::with_channel(loopback.addr());
    ack(&mut client, 5, false);
    let (code, text) = client.expect_channel_close(1);
    assert_eq!((code, text.as_str()), (406, "PRECONDITION_FAILED - unknown delivery tag 5"));
    client.open_channel(1);
}

#[test]
fn confirms_cover_every_publication_and_follow_the_returns() {
    let loopback = start();
    let mut client = Client::with_channel(loopback.addr());
    client.confirm_select();
    client.declare_queue("q");
    for _ in 0..100 {
        client.publish("", "q", b"x");
    }
    assert_eq!(confirms(&mut client, 100), [true; 100]);
    let lost = Publish { routing_key: "nowhere", mandatory: true, ..Publish::default() };
    client.publish_with(&lost, &Properties::new().with_message_id("7"), b"body");
    let frame = client.frame();
    let returned =
        Return { reply_code: 312, reply_text: "NO_ROUTE", exchange: "", routing_key: "nowhere" };
    assert_eq!(HotMethod::parse(&frame.payload), Ok(Some(HotMethod::Return(returned))));
    let (properties, body) = client.content();
    assert_eq!((properties.message_id(), &body[..]), (Some("7"), &b"body"[..]));
    let frame = client.frame();
    let ack = Ack { delivery_tag: 101, multiple: false };
    assert_eq!(HotMethod::parse(&frame.payload), Ok(Some(HotMethod::Ack(ack))));
}

#[test]
fn publishing_to_a_missing_exchange_closes_the_channel_after_the_confirms() {
    let loopback = start();
    let mut client = Client::with_channel(loopback.addr());
    client.confirm_select();
    client.declare_queue("q");
    client.publish("", "q", b"x");
    client.publish("missing", "q", b"x");
    assert_eq!(confirms(&mut client, 1), [true]);
    let (code, text) = client.expect_channel_close(1);
    assert_eq!((code, text.as_str()), (404, "NOT_FOUND - no exchange 'missing' in vhost '/'"));
}

#[test]
fn a_full_queue_drops_its_oldest_messages() {
    let loopback = start();
    let mut client = Client::with_channel(loopback.addr());
    declare_queue_with(&mut client, "q", &[("x-max-length", 3)]);
    for number in 0..10u8 {
        client.publish("", "q", &[number]);
    }
    let bodies: Vec<u8> =
        std::iter::from_fn(|| client.get("q", true)).map(|message| message.body[0]).collect();
    assert_eq!(bodies, [7, 8, 9]);
}

#[test]
fn messages_expire_by_their_queue_and_by_themselves() {
    let loopback = start();
    let mut client = Client::with_channel(loopback.addr());
    declare_queue_with(&mut client, "short", &[("x-message-ttl", 20)]);
    client.declare_queue("long");
    client.publish("", "short", b"x");
    let publish = Publish { routing_key: "long", ..Publish::default() };
    client.publish_with(&publish, &Properties::new().with_expiration("20"), b"x");
    client.publish("", "long", b"stays");
    client.sync();
    while loopback.queue_len("/", "short") != Some(0) || loopback.queue_len("/", "long") != Some(1)
    {
        std::thread::yield_now();
    }
    assert_eq!(client.get("long", true).unwrap().body, b"stays");
    client.publish_with(&publish, &Properties::new().with_expiration("soon"), b"x");
    assert_eq!(client.expect_channel_close(1).0, 406);
}

#[test]
fn a_message_that_expires_at_once_still_reaches_a_waiting_consumer() {
    let loopback = start();
    let mut client = Client::with_channel(loopback.addr());
    client.declare_queue("q");
    client.consume("q", "c", true);
    let publish = Publish { routing_key: "q", ..Publish::default() };
    client.publish_with(&publish, &Properties::new().with_expiration("0"), b"x");
    assert_eq!(client.delivery().body, b"x");
}

#[test]
fn duplicate_consumer_tags_and_consumers_beside_an_exclusive_one_are_refused() {
    let loopback = start();
    let mut client = Client::with_channel(loopback.addr());
    client.declare_queue("q");
    client.consume("q", "c", true);
    let exclusive = basic::Consume {
        queue: "q".into(),
        consumer_tag: "d".into(),
        exclusive: true,
        ..basic::Consume::default()
    };
    client.send_basic(basic::AMQPMethod::Consume(exclusive));
    assert_eq!(client.expect_channel_close(1).0, 403);
    client.open_channel(1);
    client.consume("q", "c", true);
    let again =
        basic::Consume { queue: "q".into(), consumer_tag: "c".into(), ..basic::Consume::default() };
    client.send_basic(basic::AMQPMethod::Consume(again));
    assert_eq!(client.expect_connection_close().0, 530);
}

#[test]
fn immediate_publishing_and_internal_exchanges_are_refused() {
    let loopback = start();
    let mut client = Client::with_channel(loopback.addr());
    let publish = Publish { immediate: true, ..Publish::default() };
    client.publish_with(&publish, &Properties::new(), b"x");
    assert_eq!(client.expect_connection_close().0, 540);

    let mut client = Client::with_channel(loopback.addr());
    let declare = amq_protocol::protocol::exchange::Declare {
        exchange: "inside".into(),
        kind: "fanout".into(),
        internal: true,
        ..Default::default()
    };
    client.send_exchange(amq_protocol::protocol::exchange::AMQPMethod::Declare(declare));
    client.method(1);
    client.publish("inside", "", b"x");
    assert_eq!(client.expect_channel_close(1).0, 403);
}

#[test]
fn a_client_that_does_not_read_delays_no_other_client() {
    let loopback = start();
    let mut client = Client::with_channel(loopback.addr());
    client.declare_queue("slow");
    client.declare_queue("fast");
    let mut slow = Client::with_channel(loopback.addr());
    slow.consume("slow", "c", true);
    let count = 40;
    let body = vec![1; 1 << 20];
    for _ in 0..count {
        client.publish("", "slow", &body);
    }
    client.consume("fast", "c", true);
    client.publish("", "fast", b"here");
    assert_eq!(client.delivery().body, b"here");
    assert!(loopback.queue_len("/", "slow") > Some(0), "the rest waits in the queue");
    for _ in 0..count {
        assert_eq!(slow.delivery().body.len(), body.len());
    }
}

#[test]
fn recover_requeues_every_unacknowledged_message() {
    let loopback = start();
    let mut client = Client::with_channel(loopback.addr());
    client.declare_queue("q");
    client.publish("", "q", b"x");
    client.get("q", false).unwrap();
    client.send_basic(basic::AMQPMethod::Recover(basic::Recover { requeue: true }));
    let ok = basic::AMQPMethod::RecoverOk(basic::RecoverOk {});
    assert_eq!(client.method(1), AMQPClass::Basic(ok));
    assert!(client.get("q", true).unwrap().redelivered);
}

#[test]
fn an_interrupted_publication_is_an_unexpected_frame() {
    let loopback = start();
    let mut client = Client::with_channel(loopback.addr());
    let mut out = Vec::new();
    Publish { routing_key: "q", ..Publish::default() }.encode_frame(1, &mut out);
    let twice = out.repeat(2);
    client.write(&twice);
    assert_eq!(client.expect_connection_close().0, 505);

    let mut client = Client::with_channel(loopback.addr());
    Properties::new().encode_frame(1, 3, &mut out);
    crate::wire::write_frame(&mut out, FrameKind::Body, 1, |out| out.extend_from_slice(b"four"));
    client.write(&out);
    assert_eq!(client.expect_connection_close().0, 501);
}
