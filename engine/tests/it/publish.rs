//! Publishing: confirms, returns, order, large bodies, back-pressure.

use bytes::Bytes;
use leveret_engine::{Consume, Outcome, Properties, block_on};

use crate::setup::{WAIT, channel, connect, queue, to};

#[test]
fn a_confirmed_publication_arrives_with_its_properties() {
    let connection = connect("publish-one");
    let channel = channel(&connection);
    queue(&channel, "q");
    let properties = Properties::default().with_content_type("text/plain").with_priority(3);
    let publisher = channel.publisher(to("q"), &properties).unwrap();
    let confirm = publisher.try_publish("hello".as_bytes(), WAIT).unwrap();
    assert!(matches!(confirm.wait(), Outcome::Confirmed));
    let mut consumer = block_on(channel.consume(Consume::from_queue("q"))).unwrap();
    let delivery = consumer.next_within(WAIT).unwrap().unwrap();
    assert_eq!(*delivery.body().contiguous(), *b"hello");
    assert_eq!(delivery.properties().content_type, Some("text/plain"));
    assert_eq!(delivery.properties().priority, Some(3));
    assert_eq!((delivery.exchange(), delivery.routing_key()), ("", "q"));
    delivery.ack();
    block_on(connection.close()).unwrap();
}

#[test]
fn returned_and_routed_ones_are_told_apart_when_pipelined() {
    let connection = connect("publish-returned");
    let channel = channel(&connection);
    queue(&channel, "q");
    let routed = channel.publisher(to("q"), &Properties::default()).unwrap();
    let lost = channel.publisher(to("nobody"), &Properties::default()).unwrap();
    let confirms: Vec<_> = (0..200)
        .map(|i: u32| {
            let publisher = if i.is_multiple_of(3) { &lost } else { &routed };
            (i, publisher.try_publish(i.to_string().as_bytes(), WAIT).unwrap())
        })
        .collect();
    for (i, confirm) in confirms {
        match confirm.wait() {
            Outcome::Returned(returned) => {
                assert_eq!(i % 3, 0);
                assert_eq!(returned.body().contiguous(), i.to_string().as_bytes());
                assert_eq!(returned.reply_code(), 312);
            }
            Outcome::Confirmed => assert_ne!(i % 3, 0),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn large_bodies_come_back_byte_for_byte() {
    let connection = connect("publish-large");
    let channel = channel(&connection);
    queue(&channel, "q");
    let publisher = channel.publisher(to("q"), &Properties::default()).unwrap();
    let mut consumer = block_on(channel.consume(Consume::from_queue("q"))).unwrap();
    for size in [0, 1, 1024, 1025, 8192, 8193, 131_064, 131_065, 400_000, 5_000_000] {
        let body: Bytes = (0..size).map(|i: u32| (i % 251) as u8).collect();
        let confirm = block_on(publisher.publish(&body, WAIT)).unwrap();
        assert!(confirm.wait().is_ok());
        let written = block_on(publisher.publish_with(WAIT, |out| out.extend_from_slice(&body)));
        assert!(written.unwrap().wait().is_ok());
        for _ in 0..2 {
            let delivery = consumer.next_within(WAIT).unwrap().expect("a delivery");
            assert_eq!(delivery.body().len(), body.len());
            assert!(*delivery.body().contiguous() == body[..], "{size} bytes");
            delivery.ack();
        }
    }
}

#[test]
fn many_are_delivered_in_order_and_acknowledged() {
    let connection = connect("publish-many");
    let publishing = channel(&connection);
    queue(&publishing, "q");
    let publisher = publishing.publisher(to("q"), &Properties::default()).unwrap().unwatched();
    let consuming = connect("publish-many");
    let consuming = channel(&consuming);
    let mut consumer = block_on(consuming.consume(Consume::from_queue("q"))).unwrap();
    let thread = std::thread::spawn(move || {
        for i in 0..50_000_u32 {
            drop(publisher.publish_blocking(i.to_string().as_bytes(), WAIT).unwrap());
        }
    });
    for i in 0..50_000_u32 {
        let delivery = consumer.next_within(WAIT).unwrap().expect("a delivery");
        assert_eq!(delivery.body().contiguous(), i.to_string().as_bytes());
        delivery.ack();
    }
    thread.join().unwrap();
}
