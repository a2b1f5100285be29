//! A connection to a virtual host of its own on the shared broker, or to a broker in the process.

use std::time::{Duration, Instant};

use leveret_engine::loopback::{Loopback, LoopbackConfig};
use leveret_engine::{
    BackendChoice, Channel, ChannelOptions, Confirm, Connection, ConnectionConfig, Engine,
    EngineConfig, Properties, QueueDeclare, Route, block_on,
};
use leveret_support::Broker;

pub(crate) const WAIT: Duration = Duration::from_secs(10);

/// The backend under test: `LEVERET_BACKEND`, or whatever this machine allows.
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

/// A connection that is not made again when it is lost.
pub(crate) fn once(mut config: ConnectionConfig) -> ConnectionConfig {
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

/// To a queue by its name; returned where there is none.
pub(crate) fn to(queue: &str) -> Route {
    Route { exchange: String::new(), routing_key: queue.into(), mandatory: true }
}

/// Publishes to a queue by its name.
pub(crate) fn publish(channel: &Channel, queue: &str, body: &str) -> Confirm {
    let publisher = channel.publisher(to(queue), &Properties::default()).unwrap();
    publisher.publish_blocking(body.as_bytes(), WAIT).unwrap()
}

/// Waits until `test` holds, which nothing but a failing test waits for in vain.
pub(crate) fn until(what: &str, test: impl Fn() -> bool) {
    let deadline = Instant::now() + WAIT;
    while !test() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// True when slow tests are to be left out; says which.
pub(crate) fn quick(what: &str) -> bool {
    let quick = std::env::var("LEVERET_QUICK").is_ok_and(|value| value == "1");
    if quick {
        eprintln!("left out because LEVERET_QUICK=1: {what}");
    }
    quick
}
