//! Casts, each confirmed by the broker, then as fast as they go: `cargo run --example cast -- URL`.

use leveret::{RpcClient, Target, Transport};
use serde::Serialize;

#[derive(Serialize)]
struct Note<'a> {
    text: &'a str,
    number: u32,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), leveret::Error> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "rabbit://".into());
    let transport = Transport::connect(&url).await?;
    let client = RpcClient::new(&transport, Target::new("notes"));
    for number in 0..10 {
        client.cast((), "note", &Note { text: "the broker has it", number }).await?;
    }
    for number in 0..10_000 {
        client.cast_buffered((), "note", &Note { text: "the outbox has it", number }).await?;
    }
    transport.close().await?;
    eprintln!("refused: {}", transport.stats().casts_refused);
    Ok(())
}
