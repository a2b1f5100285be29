//! Publications that the broker refuses: which one is the culprit, what is sent again, what is
//! reported.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use leveret_engine::loopback::{Loopback, LoopbackConfig, Script};
use leveret_engine::{
    Channel, Confirm, Connection, ConnectionState, ErrorKind, ExchangeDeclare, FailureSink, Host,
    Outcome, Properties, Publisher, QueueBind, Route, block_on,
};

use crate::support::setup::{WAIT, channel, config_of, engine, loopback, queue, until};

/// Confirm timeout of the engine; it then leaves the broker.
const CONFIRM_TIMEOUT: Duration = Duration::from_millis(300);

fn exchange(channel: &Channel, name: &str) {
    let (name, kind) = (name.into(), "direct".into());
    let declare = ExchangeDeclare { name, kind, ..ExchangeDeclare::default() };
    block_on(channel.declare_exchange(declare)).unwrap();
}

/// Declares an exchange with one queue of the same name.
fn exchange_with_queue(channel: &Channel, name: &str) {
    exchange(channel, name);
    queue(channel, name);
    let (queue, exchange, routing_key) = (name.into(), name.into(), "k".into());
    let bind = QueueBind { queue, exchange, routing_key, ..QueueBind::default() };
    block_on(channel.bind_queue(bind)).unwrap();
}

fn publisher(channel: &Channel, exchange: &str) -> Publisher {
    let (exchange, routing_key) = (exchange.into(), "k".into());
    let route = Route { exchange, routing_key, mandatory: false };
    channel.publisher(route, &Properties::default()).unwrap()
}

fn publish(publisher: &Publisher, body: &[u8]) -> Confirm {
    publisher.publish_blocking(body, WAIT).unwrap()
}

/// Publishes while the peer delays its responses, so that all publications are in flight when the
/// channel ends.
fn publish_in_flight(peer: &Loopback, publish: impl FnOnce() -> Vec<Confirm>) -> Vec<Outcome> {
    peer.script(|script| script.delay = Duration::from_millis(200));
    let confirms = publish();
    peer.script(|script| script.delay = Duration::ZERO);
    confirms.into_iter().map(Confirm::wait).collect()
}

fn code(outcome: &Outcome) -> (&'static str, Option<u16>) {
    match outcome {
        Outcome::Confirmed => ("confirmed", None),
        Outcome::Refused(error, _) => ("refused", error.reply_code()),
        Outcome::MaybeSent(error) => ("maybe sent", error.reply_code()),
        Outcome::Nacked(given_back) => {
            (if given_back.is_some() { "given back" } else { "nacked" }, None)
        }
        _ => ("other", None),
    }
}

#[test]
fn the_culprit_of_an_exception_is_refused_and_its_neighbours_are_sent() {
    let unwritable: fn(&mut Script) = |script| script.unwritable_exchanges.push("bad".into());
    let limited: fn(&mut Script) = |script| script.message_max = Some(1000);
    for (refuse, culprit_code) in [(unwritable, 403), (limited, 406)] {
        let peer = loopback();
        let connection = engine().connect_blocking(config_of(&peer)).unwrap();
        let channel = channel(&connection);
        exchange_with_queue(&channel, "good");
        exchange_with_queue(&channel, "bad");
        peer.script(refuse);
        let (good, bad) = (publisher(&channel, "good"), publisher(&channel, "bad"));
        let large = vec![0; 2000];
        let outcomes = publish_in_flight(&peer, || {
            let mut confirms = vec![publish(&good.retained(), b"before, retained")];
            confirms.push(publish(&bad, &large));
            confirms.extend([publish(&good, b"behind"), publish(&good.retained(), b"behind")]);
            confirms
        });
        let told: Vec<_> = outcomes.iter().map(code).collect();
        let sent = ("confirmed", None);
        assert_eq!(told, [sent, ("refused", Some(culprit_code)), sent, sent]);
        assert_eq!(connection.reconnects(), 0);
        assert!(publish(&good, b"the channel goes on").wait().is_ok());
    }
}

#[test]
fn several_possible_culprits_are_tried_one_by_one() {
    let peer = loopback();
    let connection = engine().connect_blocking(config_of(&peer)).unwrap();
    let channel = channel(&connection);
    exchange_with_queue(&channel, "good");
    exchange_with_queue(&channel, "bad");
    peer.script(|script| script.unwritable_exchanges.push("bad".into()));
    let (good, bad) = (publisher(&channel, "good"), publisher(&channel, "bad"));
    let outcomes = publish_in_flight(&peer, || {
        let bad = bad.retained();
        let mut confirms: Vec<_> = (0..5).map(|_| publish(&bad, b"no")).collect();
        confirms.push(publish(&good, b"yes"));
        confirms
    });
    let told: Vec<_> = outcomes.iter().map(code).collect();
    // The broker may have accepted the first attempt of each before the permission was revoked.
    assert_eq!(told[..5], [("maybe sent", Some(403)); 5]);
    assert_eq!(told[5], ("confirmed", None));
    let Outcome::Refused(error, Some(given_back)) = publish(&bad.retained(), b"alone").wait()
    else {
        panic!("it is the only one")
    };
    assert_eq!(error.reply_code(), Some(403));
    assert_eq!((given_back.exchange(), given_back.routing_key()), ("bad", "k"));
    assert_eq!(&*given_back.body().contiguous(), b"alone");
}

#[test]
fn a_missing_exchange_is_declared_again_and_its_publications_are_sent_again() {
    let peer = loopback();
    let engine = engine();
    let connection = engine.connect_blocking(config_of(&peer)).unwrap();
    let publishing = channel(&connection);
    exchange_with_queue(&publishing, "x");
    let other = channel(&engine.connect_blocking(config_of(&peer)).unwrap());
    let stored = || block_on(other.purge_queue("x")).unwrap();

    block_on(other.delete_exchange("x", false)).unwrap();
    let retained = publisher(&publishing, "x").retained();
    let outcomes =
        publish_in_flight(&peer, || (0..4).map(|_| publish(&retained, b"again")).collect());
    assert!(outcomes.iter().all(Outcome::is_ok), "{outcomes:?}");
    assert_eq!(stored(), 4, "with its binding");

    block_on(other.delete_exchange("x", false)).unwrap();
    let outcome = publish(&publisher(&publishing, "x"), b"never again").wait();
    assert_eq!(code(&outcome), ("refused", Some(404)));
    assert!(publish(&publisher(&publishing, "x"), b"it is back").wait().is_ok());
    assert_eq!(stored(), 1);
    assert_eq!(connection.reconnects(), 0);

    // This connection has not declared the exchange, so the engine does not restore it and reports
    // the refusal.
    let foreign = publisher(&publishing, "foreign").retained();
    assert_eq!(code(&publish(&foreign, b"no").wait()), ("refused", Some(404)));
}

#[test]
fn refused_fire_and_forget_publications_are_counted() {
    let peer = loopback();
    let connection = engine().connect_blocking(config_of(&peer)).unwrap();
    let channel = channel(&connection);
    exchange_with_queue(&channel, "good");
    exchange_with_queue(&channel, "bad");
    peer.script(|script| script.unwritable_exchanges.push("bad".into()));
    for retained in [false, true] {
        let before = connection.fire_and_forget_failures();
        let unwatched = publisher(&channel, "bad").fire_and_forget();
        let unwatched = if retained { unwatched.retained() } else { unwatched };
        drop(publish_in_flight(&peer, || (0..3).map(|_| publish(&unwatched, b"no")).collect()));
        until("each was counted", || connection.fire_and_forget_failures() == before + 3);
    }
    peer.script(|script| {
        *script = Script { nack_publishes: true, ..Script::default() };
    });
    let before = connection.fire_and_forget_failures();
    let unwatched = publisher(&channel, "good").fire_and_forget().retained();
    drop((0..20).map(|_| publish(&unwatched, b"no")).collect::<Vec<_>>());
    until("each was counted", || connection.fire_and_forget_failures() == before + 20);
}

#[test]
fn a_nacked_publication_is_sent_again_until_it_is_confirmed() {
    let peer = loopback();
    let connection = engine().connect_blocking(config_of(&peer)).unwrap();
    let channel = channel(&connection);
    exchange_with_queue(&channel, "x");
    peer.script(|script| script.nack_publishes = true);
    let plain = publisher(&channel, "x");
    assert_eq!(code(&publish(&plain, b"once").wait()), ("nacked", None));
    let waiting = publish(&plain.retained(), b"again");
    let late = plain.retained().publish_blocking(b"late".as_slice(), Duration::from_millis(300));
    assert_eq!(code(&late.unwrap().wait()), ("given back", None), "by its deadline");
    peer.script(|script| script.nack_publishes = false);
    assert!(waiting.wait().is_ok());
    let stored = block_on(channel.purge_queue("x")).unwrap();
    assert_eq!(stored, 1, "a returned publication is not sent after its deadline");
}

#[test]
fn a_publication_that_is_nacked_for_long_is_returned_to_the_caller() {
    let peer = loopback();
    let mut config = config_of(&peer);
    config.nack_retry = Duration::from_millis(400);
    let connection = engine().connect_blocking(config).unwrap();
    let channel = channel(&connection);
    exchange_with_queue(&channel, "x");
    peer.script(|script| script.nack_publishes = true);
    let begun = Instant::now();
    let outcome = publish(&publisher(&channel, "x").retained(), b"no").wait();
    assert_eq!(code(&outcome), ("given back", None));
    assert!(begun.elapsed() >= Duration::from_millis(350), "{:?}", begun.elapsed());
    let published = peer.stats().published;
    assert_eq!(published, 4, "at once, and after 50, 100 and 200 ms");
}

/// Two hosts: the first confirms nothing, the second does.
fn two_hosts(peers: [&Loopback; 2]) -> leveret_engine::ConnectionConfig {
    let hosts = peers.map(|peer| Host::new("127.0.0.1", peer.addr().port()));
    let mut config = leveret_engine::ConnectionConfig::new(hosts.into());
    config.confirm_timeout = CONFIRM_TIMEOUT;
    config
}

#[test]
fn a_broker_that_confirms_nothing_is_replaced_by_the_next_host() {
    let (mute, healthy) = (loopback(), loopback());
    let engine = engine();
    let connect = || -> Connection {
        loop {
            let connection = engine.connect_blocking(two_hosts([&mute, &healthy])).unwrap();
            if mute.stats().connections == 1 {
                return connection;
            }
            block_on(connection.close()).unwrap();
        }
    };
    let connection = connect();
    let channel = channel(&connection);
    exchange_with_queue(&channel, "x");
    assert!(publish(&publisher(&channel, "x"), b"here").wait().is_ok());
    mute.script(|script| script.withhold_confirms = true);
    let begun = Instant::now();
    let plain = publish(&publisher(&channel, "x"), b"maybe");
    let retained = publish(&publisher(&channel, "x").retained(), b"there");
    assert!(
        matches!(plain.wait(), Outcome::MaybeSent(error) if error.kind() == ErrorKind::TimedOut)
    );
    assert!(retained.wait().is_ok());
    // At most one second after the confirm timeout.
    assert!(begun.elapsed() < CONFIRM_TIMEOUT + Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!(healthy.stats().connections, 1);
    for _ in 0..3 {
        let times = connection.reconnects();
        healthy.drop_connections();
        until("it is back", || {
            connection.reconnects() > times && connection.state() == ConnectionState::Open
        });
        assert_eq!(mute.stats().connections, 0, "the unresponsive host is tried last");
    }
}

#[test]
fn a_blocked_broker_does_not_count_as_one_that_confirms_nothing() {
    let peer = loopback();
    let mut config = config_of(&peer);
    config.confirm_timeout = Duration::from_millis(200);
    let connection = engine().connect_blocking(config).unwrap();
    let channel = channel(&connection);
    exchange_with_queue(&channel, "x");
    peer.block_publishers("memory");
    until("it is blocked", || matches!(connection.state(), ConnectionState::Blocked(_)));
    let waiting = publish(&publisher(&channel, "x"), b"later");
    std::thread::sleep(Duration::from_millis(800));
    peer.unblock_publishers();
    assert!(waiting.wait().is_ok());
    assert_eq!(connection.reconnects(), 0);
}

/// Counts the calls and records the reply codes of refusals.
struct CountingSink(AtomicUsize, Mutex<Vec<u16>>);

impl FailureSink for CountingSink {
    fn publish_failed(&self, _: u64, outcome: Outcome) {
        self.0.fetch_add(1, Ordering::SeqCst);
        if let Outcome::Refused(error, _) = outcome {
            self.1.lock().unwrap().extend(error.reply_code());
        }
    }
}

#[test]
fn a_refusal_sink_receives_refusals_by_channel_exception() {
    let config = LoopbackConfig::default();
    let peer = Loopback::start(config).unwrap();
    let connection = engine().connect_blocking(config_of(&peer)).unwrap();
    let channel = channel(&connection);
    exchange_with_queue(&channel, "bad");
    peer.script(|script| script.unwritable_exchanges.push("bad".into()));
    let sink = Arc::new(CountingSink(AtomicUsize::new(0), Mutex::default()));
    let reporting = publisher(&channel, "bad").with_failure_sink(Arc::clone(&sink) as _);
    block_on(reporting.publish(b"no".as_slice(), WAIT, 1)).unwrap();
    until("it was reported", || sink.0.load(Ordering::SeqCst) == 1);
    assert_eq!(*sink.1.lock().unwrap(), [403]);
}
