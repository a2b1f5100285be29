//! The lines of JSON between the tool and the processes of its fleet.
//!
//! Python's processes speak the same. Times are microseconds of the machine's monotonic clock,
//! which all processes share. Invariant: a request is told once when it has ended, and once for
//! each execution. Not here: how lines get from a process to another (`peer_process`).

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::chaos::stream::{Consumer, Stream, WorkerNumber};
use crate::system::sys;

/// How often a process tells what has happened.
const REPORT_INTERVAL: Duration = Duration::from_millis(25);

/// What a process of the fleet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Role {
    Client,
    Server,
}

/// The first line: what a process is to be.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Setup {
    pub(super) role: Role,
    pub(super) number: WorkerNumber,
    pub(super) url: String,
    /// Begins the names of all topics, and is the name of the exchange.
    pub(super) tag: String,
    /// Messages a second of each stream of this client.
    pub(super) rate: f64,
    /// In seconds.
    pub(super) timeout: f64,
    /// In seconds.
    pub(super) heartbeat: u16,
    /// What a client sends.
    pub(super) streams: Vec<StreamSetup>,
    /// What a server takes, and the topic of each.
    pub(super) topics: BTreeMap<Consumer, String>,
}

/// A stream of a client.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct StreamSetup {
    pub(super) stream: Stream,
    pub(super) topic: String,
    /// Further ids follow it.
    pub(super) first_id: u64,
}

/// A request or notification whose sender was told how it ended: id, begin, end, and `ok` or the
/// error's kind, and after a slash what is known of the message.
pub(super) type RequestEnd = (u64, u64, u64, String);

/// An execution: id, begin of the request, and when it was executed.
pub(super) type Execution = (u64, u64, u64);

/// What a process of the fleet says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum WorkerMessage {
    Ended(Vec<RequestEnd>),
    Executed(Vec<Execution>),
    Health(Vec<HealthReading>),
    Buffered(Buffered),
}

/// What a client knows at its end of the buffered casts that it has accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Buffered {
    /// The broker returned or refused them.
    pub(super) refused: u64,
    /// They may have been lost with a connection.
    pub(super) lost: u64,
}

/// The label of what went well.
pub(super) const OK: &str = "ok";

/// Gathers what is to be said, and says it from a thread of its own.
#[derive(Clone, Default)]
pub(super) struct Reporter(Arc<Mutex<Pending>>);

#[derive(Default)]
struct Pending {
    ended: Vec<RequestEnd>,
    executed: Vec<Execution>,
    health: Vec<HealthReading>,
}

impl Reporter {
    /// Begins to tell.
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
        self.0.lock().unwrap_or_else(PoisonError::into_inner).ended.push(one);
    }

    pub(super) fn executed(&self, id: u64, begun_us: u64) {
        let one = (id, begun_us, sys::monotonic_us());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).executed.push(one);
    }

    pub(super) fn health(&self, health: Health) {
        let one = (sys::monotonic_us(), health);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).health.push(one);
    }

    /// Says what was not said yet.
    pub(super) fn flush(&self) {
        let Pending { ended, executed, health } =
            std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
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

/// Prints a line at once. Where nobody reads any more the process is about to end.
pub(super) fn print_line(what: &impl Serialize) {
    let Ok(mut line) = serde_json::to_string(what) else { return };
    line.push('\n');
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
}

/// A reading.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Health {
    /// Every connection is open, blocked or not.
    pub(crate) is_connected: bool,
    /// What does not work, in words; empty if all does.
    pub(crate) wrong: String,
}

/// When it was so, on the monotonic clock in microseconds.
pub(crate) type HealthReading = (u64, Health);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_look_as_python_writes_them() {
        let line = r#"{"ended": [[7, 1, 2, "ok"]]}"#;
        let said: WorkerMessage = serde_json::from_str(line).expect("a line");
        assert!(matches!(said, WorkerMessage::Ended(ended) if ended == [(7, 1, 2, OK.to_owned())]));
        let line = r#"{"executed": [[7, 1, 3]]}"#;
        let said: WorkerMessage = serde_json::from_str(line).expect("a line");
        assert!(matches!(said, WorkerMessage::Executed(executed) if executed == [(7, 1, 3)]));
    }
}
