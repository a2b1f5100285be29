//! Publications that the broker does not confirm one by one: an answer on their channel does.

use std::sync::mpsc::{Sender, channel as pipe};
use std::sync::{Arc, Mutex};

use leveret_engine::{
    Channel, ChannelOptions, Confirms, Connection, FailureSink, Outcome, Properties, Publisher,
    block_on,
};

use crate::support::setup::{WAIT, config_of, connect, engine, loopback, queue, to, until};

fn together(connection: &Connection) -> Channel {
    let options = ChannelOptions::default().with_confirms(Confirms::Together);
    block_on(connection.open_channel(options)).unwrap()
}

fn publisher(channel: &Channel, name: &str) -> Publisher {
    channel.publisher(to(name), &Properties::default()).unwrap()
}

#[test]
fn an_answer_confirms_all_that_was_published_before() {
    let connection = connect("confirms-together");
    let channel = together(&connection);
    queue(&channel, "q");
    let publisher = publisher(&channel, "q");
    for round in 0..3 {
        let confirms: Vec<_> =
            (0..100).map(|_| publisher.publish_blocking("x".as_bytes(), WAIT).unwrap()).collect();
        for confirm in confirms {
            let outcome = confirm.wait();
            assert!(matches!(outcome, Outcome::Confirmed), "{round}: {outcome:?}");
        }
    }
    let found = block_on(channel.delete_queue("q", false, false)).unwrap();
    assert_eq!(found, 300);
}

#[test]
fn a_publication_that_no_queue_takes_comes_back() {
    let connection = connect("confirms-together-returned");
    let channel = together(&connection);
    queue(&channel, "q");
    let (nobody, somebody) = (publisher(&channel, "nobody"), publisher(&channel, "q"));
    let routed = somebody.publish_blocking("x".as_bytes(), WAIT).unwrap();
    let returned = nobody.publish_blocking("y".as_bytes(), WAIT).unwrap();
    let also_routed = somebody.publish_blocking("z".as_bytes(), WAIT).unwrap();
    let outcome = returned.wait();
    assert!(matches!(outcome, Outcome::Returned(_)), "{outcome:?}");
    for confirm in [routed, also_routed] {
        assert!(matches!(confirm.wait(), Outcome::Confirmed));
    }
}

/// An outbox that fills before the answer is due asks for it at once.
#[test]
fn a_full_outbox_does_not_stop_publishers() {
    let peer = loopback();
    let mut config = config_of(&peer);
    config.outbox_bytes = 8192;
    let connection = engine().connect_blocking(config).unwrap();
    let channel = together(&connection);
    queue(&channel, "q");
    let publisher = publisher(&channel, "q").fire_and_forget();
    for _ in 0..2000 {
        drop(publisher.publish_blocking(&[7; 1000][..], WAIT).unwrap());
    }
    block_on(connection.close()).unwrap();
    assert_eq!(peer.queue_len("/", "q"), Some(2000));
    assert_eq!(connection.fire_and_forget_losses(), 0);
}

#[test]
fn a_lost_connection_leaves_it_open_or_sends_it_again() {
    let peer = loopback();
    let connection = engine().connect_blocking(config_of(&peer)).unwrap();
    let channel = together(&connection);
    queue(&channel, "q");
    peer.script(|script| script.withhold_qos = true);
    let plain = publisher(&channel, "q");
    let retained = plain.retained();
    let lost = plain.publish_blocking("x".as_bytes(), WAIT).unwrap();
    let kept = retained.publish_blocking("y".as_bytes(), WAIT).unwrap();
    until("both have arrived", || peer.queue_len("/", "q") == Some(2));
    peer.script(|script| script.withhold_qos = false);
    peer.drop_connections();
    let outcome = lost.wait();
    assert!(matches!(outcome, Outcome::MaybeSent(_)), "{outcome:?}");
    let outcome = kept.wait();
    assert!(matches!(outcome, Outcome::Confirmed), "{outcome:?}");
    assert_eq!(peer.queue_len("/", "q"), Some(3), "one of them twice");
}

/// Wants what has an even number, and tells what failed.
struct Choosy(Mutex<Sender<(u64, Outcome)>>);

impl FailureSink for Choosy {
    fn publish_failed(&self, cookie: u64, outcome: Outcome) {
        self.0.lock().unwrap().send((cookie, outcome)).unwrap();
    }

    fn is_wanted(&self, cookie: u64) -> bool {
        cookie.is_multiple_of(2)
    }
}

#[test]
fn what_is_no_longer_wanted_is_not_sent_again() {
    for confirms in [Confirms::Each, Confirms::Together] {
        let peer = loopback();
        let connection = engine().connect_blocking(config_of(&peer)).unwrap();
        let options = ChannelOptions::default().with_confirms(confirms);
        let channel = block_on(connection.open_channel(options)).unwrap();
        queue(&channel, "q");
        peer.script(|script| {
            (script.withhold_qos, script.withhold_confirms) = (true, true);
        });
        let (sender, failures) = pipe();
        let sink = Arc::new(Choosy(Mutex::new(sender)));
        let publisher = publisher(&channel, "q").retained().with_failure_sink(sink);
        for cookie in 1..=5 {
            publisher.try_publish("x".as_bytes(), WAIT, cookie).unwrap();
        }
        until("all have arrived", || peer.queue_len("/", "q") == Some(5));
        peer.script(|script| {
            (script.withhold_qos, script.withhold_confirms) = (false, false);
        });
        peer.drop_connections();
        until("those wanted are sent again", || peer.queue_len("/", "q") == Some(7));
        block_on(connection.close()).unwrap();
        assert_eq!(peer.queue_len("/", "q"), Some(7), "{confirms:?}: and no other");
        drop((publisher, channel, connection));
        assert!(failures.recv().is_err(), "{confirms:?}: nothing failed");
    }
}

/// The engine asks on the channel itself, so a channel that the broker closes has lost what was
/// not answered.
#[test]
fn a_channel_exception_leaves_what_is_unanswered_open() {
    let peer = loopback();
    let connection = engine().connect_blocking(config_of(&peer)).unwrap();
    let channel = together(&connection);
    queue(&channel, "q");
    peer.script(|script| script.withhold_qos = true);
    let unanswered = publisher(&channel, "q").publish_blocking("x".as_bytes(), WAIT).unwrap();
    until("it has arrived", || peer.queue_len("/", "q") == Some(1));
    let route = leveret_engine::Route { exchange: "none".into(), ..to("q") };
    let missing = channel.publisher(route, &Properties::default()).unwrap();
    let refused = missing.publish_blocking("y".as_bytes(), WAIT).unwrap();
    let outcome = refused.wait();
    assert!(matches!(outcome, Outcome::Refused(..) | Outcome::MaybeSent(_)), "{outcome:?}");
    let outcome = unanswered.wait();
    assert!(matches!(outcome, Outcome::MaybeSent(_)), "{outcome:?}");
}
