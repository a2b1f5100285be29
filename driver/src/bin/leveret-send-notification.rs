//! `leveret-send-notification`: sends one notification, as `oslo-messaging-send-notification` does.
//!
//! It has the flags of that command. Like it, it sends a payload that is a JSON object as an
//! object, and any other payload as a string.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use leveret::{Config, Error, Notifier, Priority, TransportBuilder};
use mimalloc::MiMalloc;
use serde_json::{Map, Value};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Sends one notification and waits until the broker has confirmed it.
#[derive(Parser)]
#[command(name = "leveret-send-notification", version)]
struct Cli {
    /// An INI file as oslo.config reads it, with the transport_url of
    /// `[oslo_messaging_notifications]` or `[DEFAULT]`.
    #[arg(long, value_name = "PATH")]
    config_file: Option<PathBuf>,
    /// The transport URL, instead of the file's.
    #[arg(long, value_name = "URL")]
    transport_url: Option<String>,
    /// The id of the publisher.
    #[arg(long, value_name = "ID", default_value = "")]
    publisher_id: String,
    /// The type of the event.
    #[arg(long, value_name = "TYPE", default_value = "test")]
    event_type: String,
    /// A topic to send to; may be given several times. The configured topics unless set.
    #[arg(long, value_name = "TOPIC", num_args = 1..)]
    topic: Vec<String>,
    /// The priority: audit, debug, info, warn, error, critical or sample.
    #[arg(long, default_value = "info")]
    priority: Priority,
    /// The driver: messaging, messagingv2, routing, log or noop.
    #[arg(long, default_value = "messagingv2")]
    driver: String,
    /// The payload: a JSON object, or text.
    payload: String,
}

#[expect(clippy::print_stderr, reason = "a command reports errors on the standard error")]
fn main() -> ExitCode {
    match send(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("leveret-send-notification: {error}");
            ExitCode::FAILURE
        }
    }
}

fn send(cli: &Cli) -> Result<(), Error> {
    let mut config = Config::new().ini_files(&cli.config_file)?;
    if let Some(url) = &cli.transport_url {
        config = config.set("oslo_messaging_notifications", "transport_url", url);
    }
    let mut options = config.notification_config()?.with_drivers([&cli.driver]);
    if !cli.topic.is_empty() {
        options = options.with_topics(&cli.topic);
    }
    let transport = TransportBuilder::notifications_from_config(&config)?.connect_blocking()?;
    let notifier = Notifier::builder(&transport).publisher_id(&cli.publisher_id);
    let notifier = notifier.config(&options)?.build();
    let payload = match serde_json::from_str::<Map<String, Value>>(&cli.payload) {
        Ok(object) => Value::Object(object),
        Err(_) => Value::String(cli.payload.clone()),
    };
    let sent = notifier.notify_blocking(cli.priority, (), &cli.event_type, &payload);
    sent.and(transport.close_blocking())
}
