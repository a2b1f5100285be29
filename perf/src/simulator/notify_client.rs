//! `notify-client`: threads that notify, each its own count of messages.
//!
//! A notification that fails is noted under `error` and the thread goes on. It ends when all are
//! sent, at its time limit, or at a signal.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use leveret::{NotificationDriver, Notifier, Transport};

use super::client::{Collectors, report};
use super::lengths;
use super::message::Message;
use super::monitor::Monitor;
use crate::cli::command_line::Cli;
use crate::cli::simulator::NotifyClientArgs;
use crate::system::{clock, sys};

/// Runs the client until its end and reports.
pub(crate) fn run(cli: &Cli, args: &NotifyClientArgs) -> Result<()> {
    sys::note_signals();
    let transport = super::broker::transport(cli)?;
    let timeout = Duration::try_from_secs_f64(args.timeout).context("--timeout is no time")?;
    let limit = cli.simulator.limit_seconds.and_then(|l| Duration::try_from_secs_f64(l).ok());
    let end = limit.map(|limit| clock::now() + limit);
    let cargos: Arc<[String]> = lengths::cargos(&mut fastrand::Rng::new()).into();
    let collectors: Vec<Collectors> = (0..args.threads).map(Collectors::of_thread).collect();
    let monitor = Monitor::start(collectors.iter().flat_map(Collectors::all).collect())?;
    std::thread::scope(|scope| {
        for (n, collectors) in collectors.iter().enumerate() {
            let notifier = notifier(&transport, &cli.simulator.topic, n, timeout);
            let cargos = Arc::clone(&cargos);
            scope.spawn(move || notify_all(args, &notifier, &cargos, end, collectors));
        }
    });
    monitor.stop();
    report(cli, false, &collectors)
}

fn notifier(transport: &Transport, topic: &str, n: usize, timeout: Duration) -> Notifier {
    Notifier::builder(transport)
        .publisher_id(format!("publisher-{n}"))
        .driver(NotificationDriver::Messaging)
        .topic(topic)
        .timeout(timeout)
        .build()
}

/// Sends one thread's notifications.
fn notify_all(
    args: &NotifyClientArgs,
    notifier: &Notifier,
    cargos: &[String],
    end: Option<Instant>,
    collectors: &Collectors,
) {
    let pause = Duration::try_from_secs_f64(args.wait_after_msg).ok();
    let cargos = cargos.iter().cycle().skip(fastrand::usize(..cargos.len()));
    for (seq, cargo) in (0..args.messages).zip(cargos) {
        if sys::asked_to_stop() || end.is_some_and(|end| clock::now() >= end) {
            return;
        }
        let message = Message::outgoing(seq, cargo, clock::wall_seconds());
        let sent = notifier.info_blocking((), "compute.start", &message);
        if sent.is_ok() { &collectors.sent } else { &collectors.failed }.note(&message);
        if let Some(pause) = pause {
            std::thread::sleep(pause);
        }
    }
}
