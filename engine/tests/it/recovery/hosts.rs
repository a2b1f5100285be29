//! The hosts of a connection: dead ones are skipped, and a delay is kept before the first attempt.

use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use leveret_engine::loopback::{Loopback, LoopbackConfig};
use leveret_engine::{ConnectionConfig, ErrorKind, Host};

use crate::recovery::scenario::{QueueOfEachKind, until_reconnected};
use crate::support::setup::{WAIT, channel, config_of, engine, loopback};

#[test]
fn the_first_attempt_waits_for_the_configured_delay() {
    let peer = loopback();
    let mut config = config_of(&peer);
    config.recovery.delay = Duration::from_millis(300);
    config.recovery.splay = Duration::from_millis(10);
    let connection = engine().connect_blocking(config).unwrap();
    let start = Instant::now();
    peer.drop_connections();
    until_reconnected(&connection, 1);
    assert!(start.elapsed() >= Duration::from_millis(300), "{:?}", start.elapsed());
}

fn dead_host() -> Host {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    Host::new("127.0.0.1", listener.local_addr().unwrap().port())
}

#[test]
fn a_dead_host_is_skipped() {
    let (engine, peer) = (engine(), loopback());
    let host = Host::new("127.0.0.1", peer.addr().port());
    for hosts in [vec![host.clone(), dead_host()], vec![dead_host(), host]] {
        for _ in 0..4 {
            let connection = engine.connect_blocking(ConnectionConfig::new(hosts.clone())).unwrap();
            channel(&connection);
        }
    }
}

#[test]
fn a_connection_moves_to_the_host_that_is_alive() {
    let (one, two) = (loopback(), loopback());
    let hosts = [&one, &two].map(|peer| Host::new("127.0.0.1", peer.addr().port()));
    let connection = engine().connect_blocking(ConnectionConfig::new(hosts.into())).unwrap();
    let mut queues = QueueOfEachKind::build(&connection);
    queues.assert_delivers("here");
    let (dead, alive) = if one.stats().connections == 1 { (one, two) } else { (two, one) };
    dead.stop();
    until_reconnected(&connection, 1);
    assert_eq!(alive.stats().connections, 1);
    queues.assert_delivers("there");
}

#[test]
fn connect_retries_until_its_deadline() {
    let host = dead_host();
    let port = host.port;
    let mut config = ConnectionConfig::new(vec![host]);
    config.connect_deadline = Duration::from_millis(300);
    let begun = Instant::now();
    let error = engine().connect_blocking(config.clone()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(begun.elapsed() >= Duration::from_millis(300));
    config.connect_deadline = WAIT;
    let late = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(200));
        Loopback::start(LoopbackConfig { port, ..LoopbackConfig::default() }).unwrap()
    });
    engine().connect_blocking(config).unwrap();
    late.join().unwrap().stop();
}
