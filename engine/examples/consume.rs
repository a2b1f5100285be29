//! Consumes and acknowledges: `cargo run --example consume -- localhost 5672`.

use leveret_engine::{
    ChannelOptions, ConnectionConfig, Consume, Engine, EngineConfig, QueueDeclare, block_on,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let host = arguments.next().unwrap_or_else(|| "localhost".into());
    let port = arguments.next().map_or(Ok(5672), |text| text.parse())?;

    let engine = Engine::start(EngineConfig::default())?;
    let connection = engine.connect_blocking(ConnectionConfig::to(host, port))?;
    let channel = block_on(connection.open_channel(ChannelOptions::default().with_prefetch(100)))?;
    let declare = QueueDeclare { name: "jobs".into(), durable: true, ..Default::default() };
    block_on(channel.declare_queue(declare))?;
    let mut consumer = block_on(channel.consume(Consume::from_queue("jobs")))?;
    // The engine restores the consumer after a lost connection; an error means that it cannot.
    while let Some(delivery) = consumer.next_blocking()? {
        let again = if delivery.redelivered() { " (again)" } else { "" };
        eprintln!("{} bytes{again}", delivery.body().len());
        delivery.ack();
    }
    Ok(())
}
