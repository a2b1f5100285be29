//! Handles notifications by the hundred, or by what came in a second.

use std::time::Duration;

use leveret::{
    Notification, NotificationEndpoint, NotificationListener, Notifier, Priority, Target, Transport,
};

#[derive(serde::Serialize, serde::Deserialize)]
struct Reading {
    watts: f64,
}

fn main() -> Result<(), leveret::Error> {
    let transport = Transport::connect_blocking("fake://")?;
    let (sums, summed) = std::sync::mpsc::channel();
    let add_up = move |readings: Vec<Notification<Reading>>| {
        let watts: f64 = readings.iter().map(|reading| reading.payload.watts).sum();
        sums.send((readings.len(), watts))
    };
    let listener = NotificationListener::builder(&transport, Target::new("meters"))
        .endpoint(NotificationEndpoint::new().on_batch(Priority::Sample, add_up))
        .batch_size(100)
        .batch_timeout(Duration::from_secs(1))
        .start_blocking()?;
    let notifier = Notifier::builder(&transport).publisher_id("meter.7").topic("meters").build();
    for _ in 0..150 {
        notifier.sample_blocking((), "meter.reading", &Reading { watts: 0.5 })?;
    }
    for (count, watts) in summed.iter().take(2) {
        eprintln!("{count} readings, {watts} W");
    }
    listener.wait_blocking()?;
    transport.close_blocking()
}
