//! Messages above [`ConnectionConfig::body_max`], as a sink receives them.

use leveret_engine::{Consume, Delivery, DeliverySink, Disposition, Error, Outcome, block_on};

use crate::support::setup::{WAIT, channel, config_of, engine, loopback, publish, queue, until};

/// Sends the size and the body of every message to the test.
struct Oversized(std::sync::mpsc::Sender<(u64, Vec<u8>)>);

impl DeliverySink for Oversized {
    fn deliver(&mut self, delivery: Delivery) -> Disposition {
        let body = delivery.body().contiguous().to_vec();
        let _ = self.0.send((body.len() as u64, body));
        Disposition::Ack
    }

    fn oversized(&mut self, delivery: Delivery, size: u64) {
        let _ = self.0.send((size, delivery.body().contiguous().to_vec()));
    }

    fn closed(&mut self, _: Option<Error>) {}
}

#[test]
fn a_sink_receives_the_size_and_the_end_of_a_message_above_the_limit() {
    let peer = loopback();
    let engine = engine();
    let mut limited = config_of(&peer);
    limited.body_max = 100_000;
    let connection = engine.connect_blocking(limited).unwrap();
    let consuming = channel(&connection);
    queue(&consuming, "q");
    let (sender, heard) = std::sync::mpsc::channel();
    let sink = Box::new(Oversized(sender));
    let handle = block_on(consuming.consume_with(Consume::from_queue("q"), sink)).unwrap();
    let publishing = channel(&engine.connect_blocking(config_of(&peer)).unwrap());
    let large = "x".repeat(150_000) + "the end";
    assert!(publish(&publishing, "q", &large).wait().is_ok());
    assert!(publish(&publishing, "q", "small").wait().is_ok());
    let (size, tail) = heard.recv_timeout(WAIT).unwrap();
    assert_eq!(size, large.len() as u64);
    assert!(tail.len() <= 16 << 10 && tail.ends_with(b"xthe end"));
    assert_eq!(heard.recv_timeout(WAIT).unwrap(), (5, b"small".to_vec()));
    until("it was rejected", || block_on(publishing.purge_queue("q")).unwrap() == 0);
    assert_eq!(engine.stats()[0].oversized, 1);
    // A returned publication of our own is identified by its checksum although its body is not
    // kept.
    let returned = publish(&consuming, "nowhere", &large).wait();
    let Outcome::Returned(returned) = returned else { panic!("{returned:?}") };
    assert_eq!((returned.routing_key(), returned.body().len()), ("nowhere", 0));
    assert_eq!(connection.reconnects(), 0);
    drop(handle);
}
