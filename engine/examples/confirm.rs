//! Publishes with confirms, many in flight: `cargo run --example confirm -- localhost 5672`.

use std::time::Duration;

use leveret_engine::{
    ChannelOptions, ConnectionConfig, Engine, EngineConfig, Outcome, Properties, QueueDeclare,
    Route, block_on,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let host = arguments.next().unwrap_or_else(|| "localhost".into());
    let port = arguments.next().map_or(Ok(5672), |text| text.parse())?;

    let engine = Engine::start(EngineConfig::default())?;
    block_on(async {
        let connection = engine.connect(ConnectionConfig::to(host, port)).await?;
        let channel = connection.open_channel(ChannelOptions::default()).await?;
        let declare = QueueDeclare { name: "jobs".into(), durable: true, ..Default::default() };
        channel.declare_queue(declare).await?;
        let route = Route { routing_key: "jobs".into(), mandatory: true, ..Route::default() };
        // Sent again after a reconnect until confirmed: at least once.
        let publisher = channel.publisher(route, &Properties::default())?.retained();
        let mut confirms = Vec::new();
        for number in 0..100_u32 {
            let body = number.to_string();
            confirms.push(publisher.publish(body.as_bytes(), Duration::from_secs(5)).await?);
        }
        for confirm in confirms {
            match confirm.await {
                Outcome::Confirmed => {}
                other => eprintln!("not confirmed: {other:?}"),
            }
        }
        connection.close().await?;
        Ok(())
    })
}
