//! A connection to a virtual host of its own on the shared broker.

use std::time::Duration;

use leveret_engine::{
    BackendChoice, Channel, ChannelOptions, Connection, ConnectionConfig, Engine, EngineConfig,
    QueueDeclare, block_on,
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

pub(crate) fn channel(connection: &Connection) -> Channel {
    block_on(connection.open_channel(ChannelOptions::default())).unwrap()
}

pub(crate) fn queue(channel: &Channel, name: &str) {
    let declare = QueueDeclare { name: name.into(), ..QueueDeclare::default() };
    block_on(channel.declare_queue(declare)).unwrap();
}
