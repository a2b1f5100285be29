//! The file of a run's results.

use serde::{Deserialize, Serialize};

use crate::results::comparison::Comparison;
use crate::results::run::Run;

/// Version of the file format. A newer tool reads older files; an older tool refuses newer ones.
pub(crate) const SCHEMA: u64 = 2;

/// The machine of the runs. Nothing here identifies the host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Machine {
    pub(crate) kernel: Option<String>,
    pub(crate) cpu: Option<String>,
    /// CPUs this process may use.
    pub(crate) cores: usize,
    pub(crate) memory_mib: Option<u64>,
    /// The backend of Leveret's reactor.
    pub(crate) backend: Option<String>,
    /// The executor of Leveret's servers.
    pub(crate) executor: Option<String>,
    /// Microseconds that its shards polled before they slept.
    pub(crate) busy_poll_us: u64,
    /// Product and version of the broker.
    pub(crate) broker: Option<String>,
    /// Version of this tool.
    pub(crate) version: String,
    /// Commit of the build, if the build sets it.
    pub(crate) commit: Option<String>,
}

/// A subject and what it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct MeasuredSubject {
    /// Its name, as in the runs.
    pub(crate) name: String,
    /// Library and version, or path of the binary.
    pub(crate) version: Option<String>,
}

/// All results of one command.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Results {
    pub(crate) schema: u64,
    /// When the command began, as `2026-11-30T12:00:00Z`.
    pub(crate) date: String,
    /// The command line, without passwords.
    pub(crate) command: String,
    /// The suite's name.
    pub(crate) suite: String,
    pub(crate) machine: Machine,
    pub(crate) subjects: Vec<MeasuredSubject>,
    /// In the order they were measured in.
    pub(crate) runs: Vec<Run>,
    /// The first subject against each of the others.
    pub(crate) comparisons: Vec<Comparison>,
    /// What a reader must know before any figure: a run that ended early and why, a noisy machine,
    /// workloads that a subject was not measured in.
    pub(crate) notes: Vec<String>,
}
