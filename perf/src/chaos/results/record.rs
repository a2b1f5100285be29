//! The record of a run, which is written to a file and read again: plain data.
//!
//! Invariant: a report follows from records alone, so the records of the parts of a sequence are
//! reported as one run. Not here: tables (`report`).

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::chaos::protocol::{Buffered, Role};
use crate::chaos::results::verdict::Counts;
use crate::chaos::sequence::Fault;
use crate::chaos::stream::WorkerNumber;
use crate::chaos::usage::ProcessUsage;
use crate::cli::chaos::ChaosSubject;

/// One run.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) settings: Settings,
    /// Requests that began before the first fault.
    pub(crate) before: Counts,
    pub(crate) faults: Vec<FaultRecord>,
    /// Counts by the name of the stream.
    pub(crate) streams: BTreeMap<String, Counts>,
    pub(crate) processes: Vec<ProcessRecord>,
    /// Number of processes that did not end when they should.
    pub(crate) hung: u64,
    /// Why the run ended before its last fault.
    pub(crate) cut_short: Option<String>,
    /// Longest scheduling delay of a process between two readings.
    pub(crate) lag_max_ms: f64,
    /// The first requests that broke a promise.
    pub(crate) examples: Vec<Example>,
}

/// The settings of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Settings {
    pub(crate) subject: ChaosSubject,
    pub(crate) seed: u64,
    pub(crate) nodes: usize,
    pub(crate) clients: usize,
    pub(crate) servers: usize,
    pub(crate) rate_per_s: f64,
    pub(crate) timeout_s: f64,
    pub(crate) heartbeat_s: u16,
    /// Options of the transports, apart from their defaults.
    #[serde(default)]
    pub(crate) options: Vec<String>,
    pub(crate) broker: Option<String>,
    /// Version of this tool.
    pub(crate) version: String,
}

/// One fault, and the counts from its begin to that of the next one.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct FaultRecord {
    #[serde(flatten)]
    pub(crate) fault: Fault,
    /// What was done in detail.
    pub(crate) detail: String,
    /// Milliseconds since the start of the run.
    pub(crate) begin_ms: u64,
    pub(crate) end_ms: u64,
    /// Counts of requests that began in this window.
    pub(crate) counts: Counts,
    /// The recovery of each flow that the fault reached.
    pub(crate) back: Vec<FlowRecovery>,
    /// For each process that was disconnected: milliseconds until its connections were open for
    /// good.
    pub(crate) connected_ms: Vec<f64>,
    /// Usage of the processes when everything worked again.
    pub(crate) usage: BTreeMap<WorkerNumber, ProcessUsage>,
    /// Flows and processes that did not work again in time.
    pub(crate) stuck: Vec<String>,
}

/// A flow, and its first success after a fault.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct FlowRecovery {
    #[serde(rename = "handle")]
    pub(crate) flow: String,
    pub(crate) role: Role,
    /// Whether its queue is a quorum queue.
    pub(crate) is_quorum: bool,
    /// Milliseconds since the fault, or since its end if it stops everything.
    pub(crate) ms: f64,
}

/// A process of the fleet.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ProcessRecord {
    pub(crate) role: Role,
    pub(crate) number: WorkerNumber,
    /// Usage before its first fault.
    pub(crate) warm: Option<ProcessUsage>,
    /// Usage after the last fault; `None` if the process was replaced.
    pub(crate) end: Option<ProcessUsage>,
    /// Buffered casts that it accepted and that no server executed.
    pub(crate) casts_unexecuted: u64,
    /// Those that its transport reports; `None` for servers and killed processes.
    pub(crate) casts: Option<Buffered>,
}

impl ProcessRecord {
    /// Lost buffered casts that its transport does not report.
    fn silently_lost(&self) -> u64 {
        let known = self.casts.map(|casts| casts.refused + casts.lost);
        known.map_or(0, |known| self.casts_unexecuted.saturating_sub(known))
    }
}

/// A request that broke a promise, for the analysis.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Example {
    pub(crate) broke: String,
    pub(crate) stream: String,
    pub(crate) client: WorkerNumber,
    /// Milliseconds since the start of the run.
    pub(crate) begun_ms: f64,
    pub(crate) took_ms: f64,
    pub(crate) told: String,
    pub(crate) executions: u32,
    /// The last fault before its begin.
    pub(crate) fault: Option<u32>,
}

/// A promise, and how often it was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Promise {
    pub(crate) text: &'static str,
    pub(crate) broken: u64,
}

impl Record {
    /// Counts of all requests.
    pub(crate) fn total(&self) -> Counts {
        let mut total = Counts::default();
        self.streams.values().for_each(|counts| total += counts);
        total
    }

    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path);
        let text = text.with_context(|| format!("cannot read {}", path.display()))?;
        let record = serde_json::from_str(&text);
        record.with_context(|| format!("{} is no record of chaos", path.display()))
    }
}

/// The promises, and how often these runs broke them.
pub(crate) fn promises(records: &[Record]) -> Vec<Promise> {
    let mut total = Counts::default();
    records.iter().for_each(|record| total += &record.total());
    let stuck = records.iter().flat_map(|record| &record.faults).map(|fault| fault.stuck.len());
    let grown = records.iter().flat_map(|record| &record.processes).filter(|process| {
        let both = process.warm.zip(process.end);
        both.is_some_and(|(warm, end)| end.has_grown_since(&warm))
    });
    let processes = records.iter().flat_map(|record| &record.processes);
    let silently_lost = processes.map(ProcessRecord::silently_lost);
    let of = |text, broken| Promise { text, broken };
    vec![
        of("confirmed on quorum queues and executed by nobody", total.lost),
        of("sent at most once and executed twice", total.twice_once),
        of("calls that ended later than 50 ms after their deadline", total.late),
        of("said to be not sent or refused, and executed", total.contradicted),
        of("buffered casts lost and not counted as such", silently_lost.sum()),
        of("clients' streams and servers' consumers to start again", stuck.sum::<usize>() as u64),
        of("processes that have grown", grown.count() as u64),
        of("processes that did not end", records.iter().map(|record| record.hung).sum()),
    ]
}

/// The quantile of sorted values by nearest rank; `None` without values.
pub(crate) fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::cli::chaos::FaultKind;
    use crate::results::json;

    pub(in crate::chaos) fn record(seed: u64) -> Record {
        let settings = Settings {
            subject: ChaosSubject::Leveret,
            seed,
            nodes: 3,
            clients: 2,
            servers: 2,
            rate_per_s: 100.0,
            timeout_s: 5.0,
            heartbeat_s: 2,
            options: Vec::new(),
            broker: None,
            version: "0".to_owned(),
        };
        Record {
            settings,
            before: Counts::default(),
            faults: Vec::new(),
            streams: BTreeMap::new(),
            processes: Vec::new(),
            hung: 0,
            cut_short: None,
            lag_max_ms: 0.0,
            examples: Vec::new(),
        }
    }

    pub(in crate::chaos) fn fault(kind: FaultKind, clients_back_ms: &[f64]) -> FaultRecord {
        FaultRecord {
            fault: Fault { index: 0, kind, node: 0, hold_ms: 0, choice: 0 },
            detail: String::new(),
            begin_ms: 0,
            end_ms: 0,
            counts: Counts::default(),
            back: clients_back_ms.iter().map(|ms| back(*ms)).collect(),
            connected_ms: Vec::new(),
            usage: BTreeMap::new(),
            stuck: Vec::new(),
        }
    }

    fn back(ms: f64) -> FlowRecovery {
        FlowRecovery { flow: "client 1: call".to_owned(), role: Role::Client, is_quorum: true, ms }
    }

    #[test]
    fn quantiles_are_by_nearest_rank() {
        let sorted: Vec<f64> = (1..=10).map(f64::from).collect();
        let of = |share| quantile(&sorted, share);
        assert_eq!([of(0.5), of(0.9), of(0.99), of(1.0)], [5.0, 9.0, 10.0, 10.0].map(Some));
        assert_eq!((quantile(&[3.0], 0.5), quantile(&[], 0.5)), (Some(3.0), None));
    }

    fn process(role: Role, number: WorkerNumber) -> ProcessRecord {
        ProcessRecord { role, number, warm: None, end: None, casts_unexecuted: 0, casts: None }
    }

    #[test]
    fn each_promise_is_broken_by_its_own_figure() {
        let broken = |change: &dyn Fn(&mut Record)| {
            let mut changed = record(2);
            change(&mut changed);
            let promises = promises(&[record(1), changed]);
            promises.iter().map(|promise| promise.broken).collect::<Vec<_>>()
        };
        let count = |change: fn(&mut Counts)| {
            broken(&|record| {
                let mut counts = Counts::default();
                change(&mut counts);
                record.streams.insert("cast".to_owned(), counts);
            })
        };
        assert_eq!(broken(&|_| ()), [0; 8]);
        assert_eq!(count(|counts| counts.lost = 2), [2, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(count(|counts| counts.twice_once = 1), [0, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(count(|counts| counts.late = 1), [0, 0, 1, 0, 0, 0, 0, 0]);
        assert_eq!(count(|counts| counts.contradicted = 1), [0, 0, 0, 1, 0, 0, 0, 0]);
        let kept = count(|counts| {
            (counts.lost_classic, counts.lost_unpromised, counts.erased) = (1, 1, 1);
            (counts.twice, counts.late_others, counts.returned_executed) = (1, 1, 1);
        });
        assert_eq!(kept, [0; 8], "counted, and not promised");
        let stuck = broken(&|record| {
            record.faults.push(fault(FaultKind::User, &[]));
            record.faults[0].stuck = vec!["client 1: call".to_owned()];
        });
        assert_eq!(stuck, [0, 0, 0, 0, 0, 1, 0, 0]);
        let grown = broken(&|record| {
            let usage = |rss_kib| Some(ProcessUsage { rss_kib, ..ProcessUsage::default() });
            let (role, number) = (Role::Client, 1);
            let (warm, end) = (usage(1000), usage(1_000_000));
            let process = ProcessRecord { warm, end, ..process(role, number) };
            record.processes = vec![process.clone(), ProcessRecord { end: None, ..process }];
        });
        assert_eq!(grown, [0, 0, 0, 0, 0, 0, 1, 0]);
        let silent = broken(&|record| {
            let casts = Some(Buffered { refused: 1, lost: 2 });
            let process = ProcessRecord { casts_unexecuted: 5, casts, ..process(Role::Client, 1) };
            // The casts of a killed process are unknown.
            let killed = ProcessRecord { casts: None, ..process.clone() };
            record.processes = vec![process, killed];
        });
        assert_eq!(silent, [0, 0, 0, 0, 2, 0, 0, 0]);
        assert_eq!(broken(&|record| record.hung = 3), [0, 0, 0, 0, 0, 0, 0, 3]);
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let mut written = record(5);
        written.faults.push(fault(FaultKind::HalfOpen, &[1.5]));
        written.faults[0].counts.errors.insert("MessagingTimeout/NotSent".to_owned(), 3);
        let file = format!("leveret-chaos-record-{}.json", std::process::id());
        let path = std::env::temp_dir().join(file);
        json::write(&path, &written).expect("the folder is writable");
        let read = Record::read(&path).expect("it was just written");
        std::fs::remove_file(&path).expect("it is there");
        assert_eq!(read.settings, written.settings);
        assert_eq!(read.faults[0].fault, written.faults[0].fault);
        assert_eq!(read.faults[0].counts, written.faults[0].counts);
    }
}
