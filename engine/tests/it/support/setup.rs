//! Connections to a virtual host of their own on the shared broker, or to a broker in the process.

use std::time::{Duration, Instant};

use leveret_engine::loopback::{Loopback, LoopbackConfig};
use leveret_engine::{
    BackendChoice, Channel, ChannelOptions, Confirm, Connection, ConnectionConfig, Engine,
    EngineConfig, Outcome, Properties, QueueDeclare, Route, block_on,
};
use leveret_support::Broker;

pub(crate) const WAIT: Duration = Duration::from_secs(10);

/// Returns the backend under test: `LEVERET_BACKEND`, or the best one of this machine.
pub(crate) fn backend() -> BackendChoice {
    std::env::var("LEVERET_BACKEND").map_or(BackendChoice::Auto, |name| name.parse().unwrap())
}

pub(crate) fn engine() -> Engine {
    Engine::start(EngineConfig::default().with_backend(backend())).unwrap()
}

pub(crate) fn config(vhost: &str) -> ConnectionConfig {
    let broker = Broker::shared();
    broker.add_vhost(vhost);
    let mut config = ConnectionConfig::to("127.0.0.1", broker.port());
    config.vhost = vhost.into();
    config
}

pub(crate) fn connect(vhost: &str) -> Connection {
    engine().connect_blocking(config(vhost)).unwrap()
}

pub(crate) fn loopback() -> Loopback {
    Loopback::start(LoopbackConfig::default()).unwrap()
}

pub(crate) fn config_of(loopback: &Loopback) -> ConnectionConfig {
    ConnectionConfig::to("127.0.0.1", loopback.addr().port())
}

/// Disables recovery for a connection.
pub(crate) fn without_recovery(mut config: ConnectionConfig) -> ConnectionConfig {
    config.recovery.enabled = false;
    config
}

pub(crate) fn channel(connection: &Connection) -> Channel {
    block_on(connection.open_channel(ChannelOptions::default())).unwrap()
}

pub(crate) fn queue(channel: &Channel, name: &str) {
    let declare = QueueDeclare { name: name.into(), ..QueueDeclare::default() };
    block_on(channel.declare_queue(declare)).unwrap();
}

/// Returns a mandatory route to a queue.
pub(crate) fn to(queue: &str) -> Route {
    Route { exchange: String::new(), routing_key: queue.into(), mandatory: true }
}

/// Publishes to a queue.
pub(crate) fn publish(channel: &Channel, queue: &str, body: &str) -> Confirm {
    let publisher = channel.publisher(to(queue), &Properties::default()).unwrap();
    publisher.publish_blocking(body.as_bytes(), WAIT).unwrap()
}

/// Waits until `test` is true; fails after [`WAIT`].
pub(crate) fn until(what: &str, test: impl Fn() -> bool) {
    let deadline = Instant::now() + WAIT;
    while !test() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Returns true if slow tests are skipped, and prints which one.
pub(crate) fn quick(what: &str) -> bool {
    let quick = std::env::var("LEVERET_QUICK").is_ok_and(|value| value == "1");
    if quick {
        eprintln!("left out because LEVERET_QUICK=1: {what}");
    }
    quick
}

/// Publishes `count` numbered messages to a queue and waits for their confirms.
pub(crate) fn fill(channel: &Channel, queue: &str, count: usize) {
    let publisher = channel.publisher(to(queue), &Properties::default()).unwrap();
    let confirms: Vec<_> = (0..count)
        .map(|i| publisher.publish_blocking(i.to_string().as_bytes(), WAIT).unwrap())
        .collect();
    for confirm in confirms {
        assert!(matches!(confirm.wait(), Outcome::Confirmed));
    }
}
