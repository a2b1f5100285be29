//! Handshakes that end anywhere, stand still, or arrive one octet at a time.

use std::time::{Duration, Instant};

use leveret_engine::{ConnectionConfig, ErrorKind};
use leveret_support::{Authority, FaultProxy};

use crate::connection::scenario::assert_works;
use crate::support::setup::{engine, quick};
use crate::tls::scenario::{config_at, good, listen, trusting};

fn through_proxy(vhost: &str) -> (FaultProxy, ConnectionConfig) {
    let authority = Authority::new();
    let port = listen(&good(&authority));
    let proxy = FaultProxy::to(([127, 0, 0, 1], port).into()).unwrap();
    let config = config_at(proxy.port(), vhost, trusting(&authority));
    (proxy, config)
}

#[test]
fn a_handshake_that_is_cut_anywhere_fails_in_time_and_the_next_one_works() {
    let (proxy, config) = through_proxy("tls-cuts");
    let engine = engine();
    let step = if quick("a cut at each octet of a handshake") { 97 } else { 13 };
    let mut octets = 0;
    loop {
        proxy.cut_new_after(Some(octets));
        let begun = Instant::now();
        let Err(error) = engine.connect_blocking(config.clone()) else { break };
        let kinds = [ErrorKind::Unreachable, ErrorKind::ConnectionClosed];
        assert!(kinds.contains(&error.kind()), "after {octets}: {error}");
        assert!(error.is_transient() && begun.elapsed() < Duration::from_secs(5), "{error}");
        octets += step;
    }
    assert!(octets > 1500, "both handshakes take more than {octets}");
    proxy.cut_new_after(None);
    assert_works(&engine.connect_blocking(config).unwrap());
}

#[test]
fn a_handshake_that_stands_still_ends_at_its_deadline() {
    let (proxy, mut config) = through_proxy("tls-still");
    config.handshake_timeout = Duration::from_millis(300);
    proxy.cut(true);
    let begun = Instant::now();
    let error = engine().connect_blocking(config).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
    assert!(error.to_string().contains("the TLS handshake took longer than 300ms"), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(5), "{error}");
}

#[test]
fn octets_that_arrive_one_at_a_time_are_records_all_the_same() {
    let (proxy, config) = through_proxy("tls-drip");
    proxy.drip(true);
    let connection = engine().connect_blocking(config).unwrap();
    assert_works(&connection);
}
