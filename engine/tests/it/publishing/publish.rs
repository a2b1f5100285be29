//! Publishing: confirms, returns, order, large bodies.

use bytes::Bytes;
use leveret_engine::{AMQPValue, Consume, FieldTable, Outcome, Properties, QueueDeclare, block_on};

use crate::support::setup::{WAIT, channel, config_of, connect, engine, loopback, queue, to};

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
fn returned_and_routed_publications_are_matched_when_pipelined() {
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
fn a_nacked_publication_is_returned_to_the_caller_if_it_is_retained() {
    let connection = connect("publish-refused");
    let channel = channel(&connection);
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-length".into(), AMQPValue::LongInt(1));
    arguments.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
    let full = QueueDeclare { name: "full".into(), arguments, ..QueueDeclare::default() };
    block_on(channel.declare_queue(full)).unwrap();
    let publisher = channel.publisher(to("full"), &Properties::default()).unwrap();
    let publish = |body: &[u8], retain: bool| {
        let publisher = if retain { publisher.retained() } else { publisher.clone() };
        publisher.try_publish(body, WAIT).unwrap().wait()
    };
    assert!(matches!(publish(b"fills it", true), Outcome::Confirmed));
    assert!(matches!(publish(b"lost", false), Outcome::Nacked(None)));
    let Outcome::Nacked(Some(nacked)) = publish(b"kept", true) else { panic!("it was full") };
    assert_eq!((nacked.exchange(), nacked.routing_key()), ("", "full"));
    assert_eq!(*nacked.body().contiguous(), *b"kept");
    let mut consumer = block_on(channel.consume(Consume::from_queue("full"))).unwrap();
    consumer.next_within(WAIT).unwrap().unwrap().ack();
    let again = publisher.try_publish(&*nacked.body().contiguous(), WAIT).unwrap();
    assert!(matches!(again.wait(), Outcome::Confirmed));
}

/// Some of them are nacked while their segment is still being written.
#[test]
fn nacked_publications_of_every_size_are_returned_to_the_caller() {
    let peer = loopback();
    let connection = engine().connect_blocking(config_of(&peer)).unwrap();
    let channel = channel(&connection);
    queue(&channel, "q");
    peer.script(|script| script.nack_publishes = true);
    let publisher = channel.publisher(to("q"), &Properties::default()).unwrap().retained();
    let sizes = [0, 1, 8192, 8193, 131_064, 131_065, 300_000].into_iter().cycle().take(70);
    let bodies: Vec<Bytes> =
        sizes.zip(0..).map(|(size, fill)| Bytes::from(vec![fill; size])).collect();
    let confirms: Vec<_> =
        bodies.iter().map(|body| publisher.publish_blocking(body, WAIT).unwrap()).collect();
    for (body, confirm) in bodies.iter().zip(confirms) {
        let Outcome::Nacked(Some(nacked)) = confirm.wait() else { panic!("all are refused") };
        assert!(*nacked.body().contiguous() == **body, "{} bytes", body.len());
        assert_eq!(nacked.routing_key(), "q");
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
fn many_publications_are_delivered_in_order_and_acknowledged() {
    let connection = connect("publish-many");
    let publishing = channel(&connection);
    queue(&publishing, "q");
    let publisher =
        publishing.publisher(to("q"), &Properties::default()).unwrap().fire_and_forget();
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
