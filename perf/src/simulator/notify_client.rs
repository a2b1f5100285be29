//! `notify-client`: sends notifications of priority info.

use std::time::Duration;

use anyhow::Result;
use leveret::{NotificationDriver, Notifier, Transport};

use super::load::{Load, Sender};
use super::message::Message;
use crate::cli::command_line::Cli;
use crate::cli::simulator::NotifyClientArgs;

/// Runs the client until its end and reports.
pub(crate) fn run(cli: &Cli, args: &NotifyClientArgs) -> Result<()> {
    let load = Load { cli, args: &args.load, has_replies: false, exit_wait: Duration::ZERO };
    load.run(|n, transport, timeout| notifier(transport, &cli.simulator.topic, n, timeout))
}

fn notifier(transport: &Transport, topic: &str, n: usize, timeout: Duration) -> Notifier {
    Notifier::builder(transport)
        .publisher_id(format!("publisher-{n}"))
        .driver(NotificationDriver::Messaging)
        .topic(topic)
        .timeout(timeout)
        .build()
}

impl Sender for Notifier {
    fn send(&mut self, message: &Message) -> Result<Option<Message>, leveret::Error> {
        self.info_blocking((), "compute.start", message).map(|()| None)
    }
}
