//! Name resolution: a slow resolver, and names with an address that does not answer.
//!
//! The tests run themselves again in a process with a scripted resolver; `inner` is the part that
//! runs there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use leveret_engine::{ConnectionConfig, ConnectionState, Engine, ErrorKind};
use socket2::{Domain, Socket, Type};

use crate::support::setup::{channel, engine, loopback, publish, queue, until};

const CASE: &str = "LEVERET_TEST_RESOLVING";
const NAMES: &str = "LEVERET_TEST_NAMES";

/// Default of `resolve_timeout`.
const RESOLVING: Duration = Duration::from_secs(5);
/// Limit of stopping an engine.
const STOPPED: Duration = Duration::from_millis(2500);

/// Builds the resolver as a library.
fn resolver() -> &'static PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../.ci/support/resolver.c");
        let library = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("resolver-{}.so", std::process::id()));
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
            .arg(&library)
            .args([source, "-ldl"])
            .output()
            .expect("a C compiler: rustc needs one, too");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        library
    })
}

/// Runs a case in which the resolver answers as `names` says.
fn with_names(case: &str, names: &str) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "connection::resolving::inner", "--nocapture"])
        .env("LD_PRELOAD", resolver())
        .env(CASE, case)
        .env(NAMES, names)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("as expected"), "{text}{errors}");
}

#[test]
fn a_resolver_may_be_slower_than_the_connect_timeout() {
    with_names("slow", "slow.test 1200 127.0.0.1");
}

#[test]
fn resolving_a_name_that_is_not_answered_ends_with_its_deadline() {
    with_names("silent", "silent.test 20000 127.0.0.1");
}

#[test]
fn a_resolver_that_does_not_answer_blocks_few_threads() {
    with_names("threads", "silent.test 20000 127.0.0.1");
}

#[test]
fn an_engine_stops_although_a_resolver_does_not_answer() {
    with_names("stopping", "silent.test 20000 127.0.0.1");
}

#[test]
fn every_address_of_a_name_is_tried() {
    with_names("addresses", "addresses.test 0 127.0.0.2 127.0.0.1");
}

#[test]
fn two_families_are_tried_side_by_side() {
    with_names("families", "families.test 0 ::1 127.0.0.1");
}

#[test]
fn inner() {
    match std::env::var(CASE).as_deref() {
        Ok("slow") => slow(),
        Ok("silent") => silent(),
        Ok("threads") => few_threads(),
        Ok("stopping") => stopping(),
        Ok("addresses") => addresses(Ipv4Addr::new(127, 0, 0, 2).into(), Duration::from_secs(2)),
        // The attempt at the other family starts before the first has failed.
        Ok("families") => addresses(Ipv6Addr::LOCALHOST.into(), Duration::from_millis(900)),
        _ => return,
    }
    println!("as expected");
}

fn slow() {
    let peer = loopback();
    let mut config = ConnectionConfig::to("slow.test", peer.addr().port());
    config.connect_timeout = Duration::from_millis(400);
    let begun = Instant::now();
    let connection = engine().connect_blocking(config).unwrap();
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(1200) && took < Duration::from_secs(3), "{took:?}");
    let channel = channel(&connection);
    queue(&channel, "q");
    // The reconnect resolves as slowly, and succeeds.
    peer.drop_connections();
    until("it has reconnected", || {
        connection.reconnects() == 1 && connection.state() == ConnectionState::Open
    });
    assert!(publish(&channel, "q", "x").wait().is_ok());
}

/// Number of parallel attempts to connect to a name that does not resolve.
const ATTEMPTS: usize = 6;

/// Starts the attempts and returns how long they took to fail.
fn attempts(engine: &Engine, port: u16) -> Duration {
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..ATTEMPTS {
            scope.spawn(|| {
                let config = ConnectionConfig::to("silent.test", port);
                let error = engine.connect_blocking(config).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
                assert!(error.to_string().contains("silent.test"), "{error}");
            });
        }
    });
    begun.elapsed()
}

fn silent() {
    let (engine, peer) = (engine(), loopback());
    let port = peer.addr().port();
    let known = engine.connect_blocking(ConnectionConfig::to("127.0.0.1", port)).unwrap();
    let (took, second) = (attempts(&engine, port), Duration::from_secs(1));
    assert!(took > RESOLVING - second && took < RESOLVING + second, "{took:?}");
    // Other connections of the engine work, and an address needs no resolver.
    assert_eq!(known.state(), ConnectionState::Open);
    drop(engine.connect_blocking(ConnectionConfig::to("127.0.0.1", port)).unwrap());
}

/// The system's resolver cannot be interrupted, so a lookup in progress is not started again.
fn few_threads() {
    let (engine, peer) = (engine(), loopback());
    let port = peer.addr().port();
    drop(engine.connect_blocking(ConnectionConfig::to("127.0.0.1", port)).unwrap());
    let before = threads();
    attempts(&engine, port);
    // A thread that was joined may still be counted for a moment.
    until("no more than two threads are left behind", || threads() <= before + 2);
}

fn stopping() {
    let (engine, peer) = (engine(), loopback());
    attempts(&engine, peer.addr().port());
    let begun = Instant::now();
    engine.stop();
    assert!(begun.elapsed() < STOPPED, "it took {:?}", begun.elapsed());
}

/// Connects to a name whose first address accepts no connection and whose second one works.
fn addresses(first: IpAddr, limit: Duration) {
    let peer = loopback();
    let port = peer.addr().port();
    let Some(_hole) = black_hole(SocketAddr::new(first, port)) else {
        eprintln!("{first} is not there on this machine");
        return;
    };
    let name = if first.is_ipv4() { "addresses.test" } else { "families.test" };
    let begun = Instant::now();
    let connection = engine().connect_blocking(ConnectionConfig::to(name, port)).unwrap();
    assert!(begun.elapsed() < limit, "{:?}", begun.elapsed());
    queue(&channel(&connection), "q");
}

/// Creates an address where connects are neither accepted nor refused, because its backlog is full.
fn black_hole(at: SocketAddr) -> Option<Vec<Socket>> {
    let socket = || Socket::new(Domain::for_address(at), Type::STREAM, None).unwrap();
    let listener = socket();
    if listener.bind(&at.into()).is_err() {
        return None;
    }
    listener.listen(0).unwrap();
    let mut held = vec![listener];
    for _ in 0..16 {
        let filler = socket();
        if filler.connect_timeout(&at.into(), Duration::from_millis(200)).is_err() {
            return Some(held);
        }
        held.push(filler);
    }
    panic!("{at} accepts without end");
}

/// Returns the number of threads of this process.
fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}
