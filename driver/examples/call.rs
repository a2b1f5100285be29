//! A call on a tokio runtime: `cargo run --example call -- rabbit://localhost/ 2 3`.

use std::time::Duration;

use leveret::{Context, RpcClient, Target, Transport};
use serde_json::json;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), leveret::Error> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().unwrap_or_else(|| "rabbit://".into());
    let mut number = || arguments.next().and_then(|text| text.parse::<i64>().ok()).unwrap_or(1);
    let args = json!({"value": number(), "increment": number()});

    let transport = Transport::connect(&url).await?;
    let client =
        RpcClient::new(&transport, Target::new("calculator")).with_timeout(Duration::from_secs(5));
    let context = Context::new().with("user", "alice");
    match client.call::<i64>(&context, "add", &args).await {
        Ok(sum) => eprintln!("the sum is {sum}"),
        Err(error) if error.is_timeout() => eprintln!("nobody answered: is the server running?"),
        Err(error) => match error.remote() {
            Some(remote) => eprintln!("the server raised {}: {}", remote.class(), remote.message()),
            None => return Err(error),
        },
    }
    transport.close().await
}
