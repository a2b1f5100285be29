//! What a measured process reads and prints: lines of JSON.
//!
//! The first line to it is its setup, with the broker's URL: other users cannot read the password
//! on standard input. It answers `"ready"`. A client then answers each command with a sample, or
//! with why it failed. A process ends when its standard input does. Older and newer versions of
//! this program understand each other: fields may be added, and keep their meaning.

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::measure::histogram::Buckets;
use crate::placement::Placement;

/// The line of a process that works.
pub(crate) const READY: &str = "ready";

/// What a process is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    #[default]
    Client,
    Server,
}

/// The first line.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Setup {
    pub(crate) role: Role,
    /// The subject, as on the command line.
    pub(crate) subject: String,
    /// The workload's name.
    pub(crate) workload: String,
    /// `call`, `cast`, `fanout` or `notify`, for processes that know no workloads by name.
    pub(crate) operation: String,
    /// Holds the password.
    pub(crate) url: String,
    /// The queue or topic of the run.
    pub(crate) topic: String,
    /// The topic exchange of oslo messages to `topic`.
    pub(crate) exchange: String,
    /// Name of the server, and its number among those of the topic.
    pub(crate) server: String,
    pub(crate) number: usize,
    /// Threads with one operation in flight each, for processes that know no workloads by name.
    pub(crate) threads: usize,
    /// Payload sizes in bytes, which messages take in turn.
    pub(crate) sizes: Vec<usize>,
    pub(crate) seed: u64,
    /// Open loop: messages due per second, from this process.
    pub(crate) rate: Option<f64>,
    /// How Leveret runs: values of `--backend`, `--executor`, `--cores`, `--busy-poll`.
    pub(crate) backend: String,
    pub(crate) executor: String,
    pub(crate) cores: String,
    pub(crate) busy_poll: u64,
}

impl Setup {
    /// How Leveret runs in the process.
    pub(crate) fn placement(&self) -> Result<Placement> {
        let mut placement = Placement::default();
        let busy_poll = self.busy_poll.to_string();
        for (name, value) in [
            ("backend", &self.backend),
            ("executor", &self.executor),
            ("cores", &self.cores),
            ("busy_poll", &busy_poll),
        ] {
            if !value.is_empty() {
                placement.set(name, value)?;
            }
        }
        Ok(placement)
    }

    /// Tells the process how Leveret runs.
    pub(crate) fn place(&mut self, placement: &Placement) {
        self.backend = placement.options.backend.to_string();
        self.executor = placement.options.executor.to_string();
        self.cores = placement.cores.to_string();
        self.busy_poll = placement.options.busy_poll;
    }
}

/// Each further line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Command {
    Measure(Window),
}

/// Lengths of the phases of one window, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Window {
    pub(crate) warmup_s: f64,
    pub(crate) seconds: f64,
    /// To count system calls in; 0 for none.
    #[serde(default)]
    pub(crate) count_s: f64,
}

/// What a client prints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Report {
    /// The measured phase begins; then it ends.
    Begins(()),
    Ends(()),
    Sample(Box<Sample>),
    /// The window could not be measured to its end.
    Failed(String),
    /// The first error of an operation; the window goes on.
    Error(String),
    /// The options in force.
    Options(serde_json::Value),
}

/// One client's measured window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Sample {
    /// Messages finished, and messages failed, in `seconds`.
    pub(crate) messages: u64,
    pub(crate) errors: u64,
    pub(crate) seconds: f64,
    /// Messages that CPU time and allocations were used for, if not `messages`.
    pub(crate) counted: Option<u64>,
    pub(crate) cpu_us: Option<f64>,
    pub(crate) allocations: Option<u64>,
    pub(crate) syscalls_per_msg: Option<f64>,
    pub(crate) histogram: Buckets,
    pub(crate) service: Option<Buckets>,
    /// Messages finished in each step, and their longest latency.
    pub(crate) step_ms: u64,
    pub(crate) steps: Vec<u64>,
    pub(crate) max_us: Vec<Option<f64>>,
    /// Threads that did the work.
    pub(crate) threads: usize,
    /// The backend of Leveret's reactor.
    pub(crate) backend: Option<String>,
    /// Resident memory, and times per second that threads woke up, of a process that does nothing.
    pub(crate) memory_kib: Option<u64>,
    pub(crate) wakeups_per_s: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_runs_as_it_is_told() {
        let mut placement = Placement::default();
        for (name, value) in
            [("backend", "epoll"), ("executor", "inline"), ("cores", "@0,1"), ("busy_poll", "5")]
        {
            placement.set(name, value).expect("a good value");
        }
        let mut setup = Setup::default();
        setup.place(&placement);
        assert_eq!(setup.placement().expect("it was just told"), placement);
        let untold = Setup::default().placement().expect("nothing is said");
        assert_eq!(untold, Placement::default());
    }

    /// What Python's side reads and prints.
    #[test]
    fn lines_have_the_form_that_other_programs_know() {
        let window = Window { warmup_s: 0.25, seconds: 1.0, count_s: 0.0 };
        let line = serde_json::to_value(Command::Measure(window)).expect("plain data");
        assert_eq!(line["measure"]["warmup_s"], 0.25);
        for line in [
            r#"{"begins": null}"#,
            r#"{"ends": null}"#,
            r#"{"error": "Type: text"}"#,
            r#"{"options": {"a": 1}}"#,
            r#"{"sample": {"messages": 5, "seconds": 1.0, "histogram": [[1000, 5]], "later": 1}}"#,
        ] {
            let report: Result<Report, _> = serde_json::from_str(line);
            assert!(report.is_ok(), "{line}: {report:?}");
        }
    }
}
