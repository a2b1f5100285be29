//! Calls from plain threads, without any runtime: `cargo run --example plain_threads -- URL`.

use leveret::{RpcClient, Target, Transport};
use serde_json::json;

fn main() -> Result<(), leveret::Error> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "rabbit://".into());
    let transport = Transport::connect_blocking(&url)?;
    let client = RpcClient::new(&transport, Target::new("calculator"));
    std::thread::scope(|scope| {
        for number in 0..5 {
            let client = &client;
            scope.spawn(move || {
                let args = json!({"value": number, "increment": 1});
                match client.call_blocking::<i64>((), "add", &args) {
                    Ok(sum) => eprintln!("{number} + 1 = {sum}"),
                    Err(error) => eprintln!("{number}: {error}"),
                }
            });
        }
    });
    transport.close_blocking()
}
