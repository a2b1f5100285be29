//! The load of both clients: threads that each send their own count of messages.
//!
//! A message that fails is counted under `error` and the thread goes on, so a restart of the broker
//! does not end the run. A client ends when all messages are sent, at its time limit, or at a
//! signal. Not here: the messages themselves (`rpc_client`, `notify_client`).

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use leveret::Transport;
use serde_json::json;

use super::collector::Collector;
use super::message::Message;
use super::monitor::Monitor;
use super::{broker, summary};
use crate::cli::command_line::Cli;
use crate::cli::simulator::LoadArgs;
use crate::system::{clock, sys};
use crate::workload::lengths;

/// Sends the messages of one thread.
pub(super) trait Sender: Send {
    /// Runs before the first message.
    fn start(&self) {}

    /// Sends one message; returns the message that came back, if any.
    fn send(&mut self, message: &Message) -> Result<Option<Message>, leveret::Error>;

    /// Runs after the last message.
    fn finish(&self) {}
}

/// The collectors of one thread.
struct Collectors {
    sent: Arc<Collector>,
    failed: Arc<Collector>,
    returned: Arc<Collector>,
}

impl Collectors {
    fn of_thread(n: usize) -> Self {
        let new = |label: &str| Arc::new(Collector::new(format!("{label}_{n}")));
        Self { sent: new("client"), failed: new("error"), returned: new("round_trip") }
    }

    fn all(&self) -> [Arc<Collector>; 3] {
        [&self.sent, &self.failed, &self.returned].map(Arc::clone)
    }
}

/// How a client sends and reports.
pub(super) struct Load<'a> {
    pub(super) cli: &'a Cli,
    pub(super) args: &'a LoadArgs,
    /// Whether messages come back; their round trips are then printed.
    pub(super) has_replies: bool,
    /// Wait between the last message and the report.
    pub(super) exit_wait: Duration,
}

impl Load<'_> {
    /// Runs the client until its end and reports. `sender` makes the sender of a thread from its
    /// number, the transport and the timeout of a message.
    pub(super) fn run<S: Sender>(
        &self,
        sender: impl Fn(usize, &Transport, Duration) -> S,
    ) -> Result<()> {
        sys::note_signals();
        let transport = broker::transport(self.cli)?;
        let timeout = Duration::try_from_secs_f64(self.args.timeout);
        let timeout = timeout.context("--timeout is no time")?;
        let limit = self.cli.simulator.limit_seconds;
        let limit = limit.and_then(|limit| Duration::try_from_secs_f64(limit).ok());
        let end = limit.map(|limit| clock::now() + limit);
        let cargos = lengths::cargos(&mut fastrand::Rng::new());
        let collectors: Vec<Collectors> =
            (0..self.args.threads).map(Collectors::of_thread).collect();
        let monitor = Monitor::start(collectors.iter().flat_map(Collectors::all).collect())?;
        std::thread::scope(|scope| {
            for (n, collectors) in collectors.iter().enumerate() {
                let mut sender = sender(n, &transport, timeout);
                let cargos = cargos.as_slice();
                scope.spawn(move || {
                    sender.start();
                    self.send_all(&mut sender, cargos, end, collectors);
                    sender.finish();
                });
            }
        });
        std::thread::sleep(self.exit_wait);
        monitor.stop();
        self.report(&collectors)
    }

    /// Sends one thread's messages.
    fn send_all(
        &self,
        sender: &mut impl Sender,
        cargos: &[String],
        end: Option<Instant>,
        collectors: &Collectors,
    ) {
        let pause = Duration::try_from_secs_f64(self.args.wait_after_msg).ok();
        let cargos = cargos.iter().cycle().skip(fastrand::usize(..cargos.len()));
        for (seq, cargo) in (0..self.args.messages).zip(cargos) {
            if sys::asked_to_stop() || end.is_some_and(|end| clock::now() >= end) {
                return;
            }
            let message = Message::outgoing(seq, cargo, clock::wall_seconds());
            match sender.send(&message) {
                Ok(back) => {
                    collectors.sent.note(&message);
                    if let Some(back) = back {
                        collectors.returned.note(&back);
                    }
                }
                Err(_) => collectors.failed.note(&message),
            }
            if let Some(pause) = pause {
                std::thread::sleep(pause);
            }
        }
    }

    /// Prints the summaries and writes the JSON.
    fn report(&self, collectors: &[Collectors]) -> Result<()> {
        let sum = |which: fn(&Collectors) -> &Arc<Collector>| {
            let points: Vec<_> = collectors.iter().flat_map(|one| which(one).series()).collect();
            summary::sum_up(&points)
        };
        let client = sum(|one| &one.sent);
        let error = sum(|one| &one.failed);
        let round_trip = sum(|one| &one.returned);
        summary::print_summary("client", &client);
        summary::print_summary("error", &error);
        if self.has_replies {
            summary::print_summary("round-trip", &round_trip);
        }
        if let Some(path) = &self.cli.json {
            let summary = json!({ "client": client, "error": error, "round_trip": round_trip });
            let all: Vec<Arc<Collector>> = collectors.iter().flat_map(Collectors::all).collect();
            summary::write_json(path, &all.iter().map(Arc::as_ref).collect::<Vec<_>>(), &summary)?;
        }
        Ok(())
    }
}
