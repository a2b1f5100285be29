//! Logins and addresses that cannot work: typed errors in time, and no password in any text.

use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use leveret_engine::loopback::{Loopback, LoopbackConfig};
use leveret_engine::{ConnectionConfig, ErrorKind, Login};
use leveret_support::Broker;

use crate::connection::scenario::{connect_error, peer_that_sends, with_password};
use crate::support::log;
use crate::support::setup::{channel, config, config_of, connect, engine, loopback, until};

#[test]
fn a_wrong_password_is_refused_with_403() {
    for login in [Login::Plain, Login::AmqPlain] {
        let peer = loopback();
        for to in [config_of(&peer), config("badinput-password")] {
            let mut config = with_password(to, "wrong");
            config.login = login;
            let error = connect_error(config);
            assert_eq!((error.kind(), error.reply_code()), (ErrorKind::AccessRefused, Some(403)));
            assert!(!error.is_transient());
        }
    }
}

#[test]
fn an_unknown_vhost_is_refused() {
    let peer = loopback();
    let broker = ConnectionConfig::to("127.0.0.1", Broker::shared().port());
    for mut config in [config_of(&peer), broker] {
        config.vhost = "nowhere".into();
        let error = connect_error(config);
        assert_eq!((error.kind(), error.reply_code()), (ErrorKind::VhostRefused, Some(530)));
        assert!(error.to_string().contains("nowhere"), "{error}");
    }
}

#[test]
fn a_mechanism_that_the_broker_does_not_offer_is_refused() {
    let peer = loopback();
    let mut config = config_of(&peer);
    config.login = Login::External;
    let error = connect_error(config);
    assert_eq!(error.kind(), ErrorKind::AccessRefused);
    assert!(error.to_string().contains("EXTERNAL"), "{error}");
}

#[test]
fn a_closed_port_and_an_unknown_name_are_unreachable() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    for host in ["127.0.0.1", "no-such-host.invalid"] {
        let error = connect_error(ConnectionConfig::to(host, port));
        assert_eq!(error.kind(), ErrorKind::Unreachable);
        assert!(error.is_transient());
        assert!(error.to_string().contains(host), "{error}");
    }
}

#[test]
fn an_invalid_config_is_refused_before_any_attempt() {
    let mut none = ConnectionConfig::new(Vec::new());
    none.connect_timeout = Duration::ZERO;
    let mut small = ConnectionConfig::to("127.0.0.1", 1);
    small.frame_max = 4096;
    let mut long = ConnectionConfig::to("127.0.0.1", 1);
    long.vhost = "v".repeat(256);
    for config in [none, small, long] {
        assert_eq!(connect_error(config).kind(), ErrorKind::Config);
    }
}

#[test]
fn passwords_appear_in_no_text_and_no_log() {
    log::keep();
    const CANARY: &str = "canary-7d1f";
    let peer = loopback();
    let known = Loopback::start(LoopbackConfig {
        users: vec![("guest".into(), CANARY.into())],
        ..LoopbackConfig::default()
    });
    let known = known.unwrap();
    let mut words = Vec::new();
    for to in [config_of(&peer), config("badinput-canary"), peer_that_sends(b"HTTP/1.1 400\r\n")] {
        let config = with_password(to, CANARY);
        words.push(format!("{config:?}"));
        let error = connect_error(config);
        words.push(format!("{error} {error:?}"));
    }
    let engine = engine();
    let config = with_password(config_of(&known), CANARY);
    words.push(format!("{:?} {:?}", config.hosts[0], config.hosts[0].password));
    let connection = engine.connect_blocking(config).unwrap();
    let channel = channel(&connection);
    words.push(format!("{engine:?} {connection:?} {channel:?} {known:?}"));
    known.close_connections(541, "INTERNAL_ERROR");
    until("it comes back", || known.stats().connections == 1 && connection.reconnects() == 1);
    for text in words {
        assert!(!text.contains(CANARY), "{text}");
    }
    assert!(!log::lines_with("recovering").is_empty(), "the log is kept");
    assert_eq!(log::lines_with(CANARY), [""; 0]);
    drop(connect("badinput-after"));
}
