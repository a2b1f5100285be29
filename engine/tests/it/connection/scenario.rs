//! Shared by the tests of invalid input: connects that must fail, and passwords.

use std::time::{Duration, Instant};

use amq_protocol::protocol::channel;
use leveret_engine::{Connection, ConnectionConfig, Error, Host, Outcome, Secret};

use crate::support::peer::peer;
use crate::support::setup::{channel, config_of, engine, loopback, publish, queue};

/// Expects a connect to fail in time; another connection of the same engine works before and after.
pub(crate) fn connect_error(config: ConnectionConfig) -> Error {
    let engine = engine();
    let peer = loopback();
    let other = engine.connect_blocking(config_of(&peer)).unwrap();
    let limit = config.connect_timeout + config.handshake_timeout + Duration::from_secs(1);
    let begun = Instant::now();
    let error = engine.connect_blocking(config).unwrap_err();
    assert!(begun.elapsed() < limit, "late: {error}");
    assert_works(&other);
    error
}

pub(crate) fn assert_works(connection: &Connection) {
    let channel = channel(connection);
    queue(&channel, "alive");
    assert!(matches!(publish(&channel, "alive", "x").wait(), Outcome::Confirmed));
}

pub(crate) fn with_password(mut config: ConnectionConfig, password: &str) -> ConnectionConfig {
    let Host { host, port, user, .. } = config.hosts[0].clone();
    config.hosts = vec![Host::new(host, port).with_login(user, Secret::new(password))];
    config
}

pub(crate) fn peer_that_sends(bytes: &'static [u8]) -> ConnectionConfig {
    peer(move |peer| {
        peer.read_header();
        peer.send(bytes);
        peer.wait_for_end();
    })
}

pub(crate) fn channel_ok() -> channel::AMQPMethod {
    channel::AMQPMethod::OpenOk(channel::OpenOk {})
}
