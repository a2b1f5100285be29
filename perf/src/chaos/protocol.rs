//! The lines of JSON between the tool and the processes of its fleet.
//!
//! Python's processes use the same lines. Times are microseconds of the machine's monotonic clock,
//! which all processes share. Invariant: a client reports the end of a request once, and a server
//! each execution once. Not here: the pipes (`system::child_process`).

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::chaos::stream::{Consumer, Stream, WorkerNumber};
use crate::system::lock::lock;
use crate::system::sys;

/// Interval between two reports of a process.
const REPORT_INTERVAL: Duration = Duration::from_millis(25);

/// The role of a process of the fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Role {
    Client,
    Server,
}

/// The first line to a process: its setup.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Setup {
    pub(super) role: Role,
    pub(super) number: WorkerNumber,
    pub(super) url: String,
    /// Prefix of all topics, and name of the exchange.
    pub(super) tag: String,
    /// Messages a second of each stream of this client.
    pub(super) rate: f64,
    /// In seconds.
    pub(super) timeout: f64,
    /// In seconds.
    pub(super) heartbeat: u16,
    /// The streams of a client.
    pub(super) streams: Vec<StreamSetup>,
    /// The consumers of a server, and the topic of each.
    pub(super) topics: BTreeMap<Consumer, String>,
}

/// A stream of a client.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct StreamSetup {
    pub(super) stream: Stream,
    pub(super) topic: String,
    /// The id of its first request; the others follow.
    pub(super) first_id: u64,
}

/// The end of a request or notification: id, begin, end, and `ok` or the kind of the error,
/// followed by a slash and the outcome of the message.
pub(super) type RequestEnd = (u64, u64, u64, String);

/// An execution: id, begin of the request, time of the execution.
pub(super) type Execution = (u64, u64, u64);

/// A line of a process of the fleet.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum WorkerMessage {
    Ended(Vec<RequestEnd>),
    Executed(Vec<Execution>),
    Health(Vec<HealthReading>),
    Buffered(Buffered),
}

/// Buffered casts of a client that were not executed, as far as its transport knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Buffered {
    /// Casts that the broker returned or refused.
    pub(super) refused: u64,
    /// Casts that may have been lost with a connection.
    pub(super) lost: u64,
}

/// The label of success.
pub(super) const OK: &str = "ok";

/// Collects what a process reports, and prints it on a thread of its own.
#[derive(Clone, Default)]
pub(super) struct Reporter(Arc<Mutex<Pending>>);

#[derive(Default)]
struct Pending {
    ended: Vec<RequestEnd>,
    executed: Vec<Execution>,
    health: Vec<HealthReading>,
}

impl Reporter {
    /// Starts the thread.
    pub(super) fn start() -> std::io::Result<Self> {
        let reporter = Self::default();
        let own = reporter.clone();
        std::thread::Builder::new().name("reporter".to_owned()).spawn(move || {
            loop {
                std::thread::sleep(REPORT_INTERVAL);
                own.flush();
            }
        })?;
        Ok(reporter)
    }

    pub(super) fn ended(&self, id: u64, begun_us: u64, label: String) {
        let one = (id, begun_us, sys::monotonic_us(), label);
        lock(&self.0).ended.push(one);
    }

    pub(super) fn executed(&self, id: u64, begun_us: u64) {
        let one = (id, begun_us, sys::monotonic_us());
        lock(&self.0).executed.push(one);
    }

    pub(super) fn health(&self, health: Health) {
        let one = (sys::monotonic_us(), health);
        lock(&self.0).health.push(one);
    }

    /// Prints what has not been printed yet.
    pub(super) fn flush(&self) {
        let Pending { ended, executed, health } = std::mem::take(&mut *lock(&self.0));
        if !ended.is_empty() {
            print_line(&WorkerMessage::Ended(ended));
        }
        if !executed.is_empty() {
            print_line(&WorkerMessage::Executed(executed));
        }
        if !health.is_empty() {
            print_line(&WorkerMessage::Health(health));
        }
    }
}

/// Prints a line at once. This fails when the reader has ended; the process then ends as well.
pub(super) fn print_line(what: &impl Serialize) {
    let Ok(mut line) = serde_json::to_string(what) else { return };
    line.push('\n');
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
}

/// A reading of a process's health.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Health {
    /// Whether every connection is open, blocked or not.
    pub(crate) is_connected: bool,
    /// What does not work; empty if all works.
    pub(crate) wrong: String,
}

/// The time of a reading, and the reading.
pub(crate) type HealthReading = (u64, Health);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_look_as_python_writes_them() {
        let line = r#"{"ended": [[7, 1, 2, "ok"]]}"#;
        let message: WorkerMessage = serde_json::from_str(line).expect("a line");
        assert!(
            matches!(message, WorkerMessage::Ended(ended) if ended == [(7, 1, 2, OK.to_owned())])
        );
        let line = r#"{"executed": [[7, 1, 3]]}"#;
        let message: WorkerMessage = serde_json::from_str(line).expect("a line");
        assert!(matches!(message, WorkerMessage::Executed(executed) if executed == [(7, 1, 3)]));
    }
}
