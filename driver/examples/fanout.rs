//! One cast to every server of a topic: `cargo run --example fanout -- URL`.

use leveret::{RpcClient, Target, Transport};
use serde_json::json;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), leveret::Error> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "rabbit://".into());
    let transport = Transport::connect(&url).await?;
    let client = RpcClient::new(&transport, Target::new("notes"));
    let everybody = client.prepare().with_fanout(true);
    everybody.cast((), "note", &json!({"text": "to all of you", "number": 0})).await?;
    transport.close().await
}
