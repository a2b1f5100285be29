//! Sends a notification of every priority: `cargo run --example notify -- rabbit://localhost/`.

use leveret::{Context, Notifier, Priority, Transport};
use serde_json::json;

fn main() -> Result<(), leveret::Error> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "fake://".into());
    let transport = Transport::connect_blocking(&url)?;
    let notifier =
        Notifier::builder(&transport).publisher_id("compute.host1").topic("notifications").build();
    let context = Context::new().with("request_id", "req-1");
    for priority in Priority::ALL {
        let payload = json!({"instance": 7, "state": "active"});
        notifier.notify_blocking(priority, &context, "instance.create.end", &payload)?;
    }
    transport.close_blocking()
}
