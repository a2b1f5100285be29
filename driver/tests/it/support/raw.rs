//! Publishes messages that no driver sends, through the engine.

use std::time::Duration;

use leveret::engine::{
    Channel, ChannelOptions, ConnectionConfig, Engine, EngineConfig, FieldTable, Properties, Route,
};

/// The content type of most bodies.
pub(crate) const JSON: Option<&str> = Some("application/json");

/// Opens a channel on a new connection to a broker. The caller must hold the engine while it uses
/// the channel.
pub(crate) async fn raw(port: u16, vhost: &str) -> (Engine, Channel) {
    let engine = Engine::start(EngineConfig::default()).unwrap();
    let mut config = ConnectionConfig::to("127.0.0.1", port);
    config.vhost = vhost.into();
    let connection = engine.connect(config).await.unwrap();
    let channel = connection.open_channel(ChannelOptions::default()).await.unwrap();
    (engine, channel)
}

/// Publishes to a queue and waits for the confirm.
pub(crate) async fn send(channel: &Channel, queue: &str, content_type: Option<&str>, body: &str) {
    let route = Route { exchange: String::new(), routing_key: queue.to_owned(), mandatory: true };
    let mut properties = Properties::new().with_headers(FieldTable::default());
    if let Some(content_type) = content_type {
        properties = properties.with_content_type(content_type);
    }
    let publisher = channel.publisher(route, &properties).unwrap();
    let confirm = publisher.publish(body.as_bytes(), Duration::from_secs(10)).await.unwrap();
    assert!(confirm.await.is_ok(), "{body}");
}
