//! Prints notifications: `cargo run --example listen -- rabbit://localhost/`.

use leveret::{
    Notification, NotificationEndpoint, NotificationFilter, NotificationListener,
    NotificationResult, Notifier, Target, Transport,
};
use serde_json::json;

fn main() -> Result<(), leveret::Error> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "fake://".into());
    let transport = Transport::connect_blocking(&url)?;
    let (heard, hears) = std::sync::mpsc::channel();
    let endpoint = NotificationEndpoint::new()
        .with_filter(NotificationFilter::new().event_type(r"instance\.")?)
        .info(move |notification: Notification| match heard.send(notification) {
            Ok(()) => NotificationResult::Handled,
            Err(_) => NotificationResult::Requeue,
        });
    let listener = NotificationListener::builder(&transport, Target::new("notifications"))
        .endpoint(endpoint)
        .allow_requeue(true)
        .start_blocking()?;
    let notifier = Notifier::builder(&transport).publisher_id("compute.host1").build();
    notifier.info_blocking((), "instance.create.end", &json!({"instance": 7}))?;
    let notification = hears.recv().expect("the listener keeps its half");
    eprintln!(
        "{} {}: {}",
        notification.publisher_id, notification.event_type, notification.payload
    );
    listener.wait_blocking()?;
    transport.close_blocking()
}
