//! Publishes without waiting: `cargo run --example publish -- localhost 5672 1000`.

use std::time::Duration;

use leveret_engine::{
    ChannelOptions, ConnectionConfig, Engine, EngineConfig, ExchangeDeclare, Properties, Route,
    block_on,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let host = arguments.next().unwrap_or_else(|| "localhost".into());
    let port = arguments.next().map_or(Ok(5672), |text| text.parse())?;
    let count: u32 = arguments.next().map_or(Ok(1000), |text| text.parse())?;

    let engine = Engine::start(EngineConfig::default())?;
    let connection = engine.connect_blocking(ConnectionConfig::to(host, port))?;
    let options = ChannelOptions::default().with_confirms(false);
    let channel = block_on(connection.open_channel(options))?;
    let exchange = ExchangeDeclare {
        name: "readings".into(),
        kind: "fanout".into(),
        ..ExchangeDeclare::default()
    };
    block_on(channel.declare_exchange(exchange))?;
    let route = Route { exchange: "readings".into(), ..Route::default() };
    let publisher = channel.publisher(route, &Properties::default())?;
    for number in 0..count {
        // Returns once the outbox holds it; waits only while the outbox is full.
        let body = number.to_string();
        drop(publisher.publish_blocking(body.as_bytes(), Duration::from_secs(5))?);
    }
    // Closing sends what is in the outbox first.
    block_on(connection.close())?;
    Ok(())
}
