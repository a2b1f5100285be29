//! Refusals without a waiting caller: what a sink receives and what it does not.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel as pipe};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use leveret_engine::{
    Connection, ConnectionState, FailureSink, Outcome, Properties, PublishError,
    ReportingPublisher, Route,
};

use crate::support::setup::{
    WAIT, channel, config_of, connect, engine, loopback, queue, to, until,
};

/// Sends what it receives to the test.
struct SendingSink(Mutex<Sender<(u64, Outcome)>>);

impl FailureSink for SendingSink {
    fn publish_failed(&self, cookie: u64, outcome: Outcome) {
        self.0.lock().unwrap().send((cookie, outcome)).unwrap();
    }
}

type Refusals = Receiver<(u64, Outcome)>;

fn reporting_publisher(connection: &Connection, route: Route) -> (ReportingPublisher, Refusals) {
    let channel = channel(connection);
    queue(&channel, "q");
    let publisher = channel.publisher(route, &Properties::default()).unwrap();
    let (sender, refusals) = pipe();
    (publisher.with_failure_sink(Arc::new(SendingSink(Mutex::new(sender)))), refusals)
}

#[test]
fn a_returned_publication_is_reported_with_its_cookie_and_its_body() {
    let connection = connect("reporting-returned");
    let (lost, refusals) = reporting_publisher(&connection, to("nobody"));
    let (routed, silence) = reporting_publisher(&connection, to("q"));
    for cookie in 0..100 {
        lost.try_publish(cookie.to_string().as_bytes(), WAIT, cookie).unwrap();
        routed.try_publish("x".as_bytes(), WAIT, cookie).unwrap();
    }
    for expected in 0..100 {
        let (cookie, outcome) = refusals.recv_timeout(WAIT).unwrap();
        let Outcome::Returned(returned) = outcome else { panic!("{outcome:?}") };
        assert_eq!(cookie, expected);
        assert_eq!(returned.body().contiguous(), cookie.to_string().as_bytes());
    }
    drop(routed);
    let heard = silence.recv_timeout(WAIT).map(|(cookie, _)| cookie);
    assert_eq!(heard, Err(RecvTimeoutError::Disconnected), "confirmed, and the sink let go of");
    assert_eq!(connection.fire_and_forget_failures(), 0, "the sink received them");
}

#[test]
fn a_publication_that_is_blocked_until_its_deadline_is_withdrawn_and_reported() {
    let peer = loopback();
    let connection = engine().connect_blocking(config_of(&peer)).unwrap();
    let (publisher, refusals) = reporting_publisher(&connection, to("q"));
    peer.block_publishers("test");
    until("blocked", || matches!(connection.state(), ConnectionState::Blocked(_)));
    let begun = std::time::Instant::now();
    let short = Duration::from_millis(30);
    publisher.try_publish("x".as_bytes(), short, 7).unwrap();
    let (cookie, outcome) = refusals.recv_timeout(WAIT).unwrap();
    assert!(begun.elapsed() >= short);
    assert_eq!(cookie, 7);
    assert!(matches!(outcome, Outcome::NotSent(_)), "{outcome:?}");
    peer.unblock_publishers();
}

#[test]
fn a_publication_on_a_lost_connection_is_reported_as_maybe_sent() {
    let peer = loopback();
    let connection = engine().connect_blocking(config_of(&peer)).unwrap();
    let (publisher, refusals) = reporting_publisher(&connection, to("q"));
    peer.script(|script| script.withhold_confirms = true);
    publisher.try_publish("x".as_bytes(), WAIT, 1).unwrap();
    until("it has arrived", || peer.queue_len("/", "q") == Some(1));
    peer.drop_connections();
    let (cookie, outcome) = refusals.recv_timeout(WAIT).unwrap();
    assert_eq!(cookie, 1);
    assert!(matches!(outcome, Outcome::MaybeSent(_)), "{outcome:?}");
}

#[test]
fn a_publication_that_was_not_accepted_is_not_reported() {
    let peer = loopback();
    let mut config = config_of(&peer);
    config.outbox_bytes = 2000;
    let connection = engine().connect_blocking(config).unwrap();
    let (publisher, refusals) = reporting_publisher(&connection, to("q"));
    peer.script(|script| script.withhold_confirms = true);
    let body = vec![7; 1500];
    publisher.try_publish(&body, WAIT, 1).unwrap();
    assert!(matches!(publisher.try_publish(&body, WAIT, 2), Err(PublishError::Full)));
    let short = Duration::from_millis(30);
    let refused = leveret_engine::block_on(publisher.publish(&body, short, 3));
    assert!(matches!(refused, Err(PublishError::TimedOut)));
    leveret_engine::block_on(connection.close()).ok();
    let told: Vec<u64> = refusals.try_iter().map(|(cookie, _)| cookie).collect();
    assert_eq!(told, [1], "only what was accepted");
    let refused = publisher.try_publish(&body, WAIT, 4);
    assert!(matches!(refused, Err(PublishError::Closed(_))));
}
