//! The processes under load: servers and clients, each a process of its own.
//!
//! Every other process of a role connects through the fault proxies, the others directly.
//! Invariant: the ledger knows a process from before its first line until its end. Not here: what
//! the processes do (`worker`), and when faults come (`run`).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::{Deserialize as _, Serialize};
use tokio::runtime::Runtime;

use super::ledger::{Flow, SharedLedger};
use super::stream::{Consumer, Id, Stream, WorkerNumber};
use super::usage::ProcessUsage;
use crate::chaos::protocol::{Role, Setup, StreamSetup, WorkerMessage};
use crate::chaos::results::record::ProcessRecord;
use crate::cli::chaos::ChaosSubject;
use crate::system::child_process;
use crate::system::child_process::ChildProcess;
use crate::system::sys;

/// Longest time of a process to end, after the deadline of its last request.
const END_TIMEOUT: Duration = Duration::from_secs(30);

/// The settings of the processes.
pub(super) struct FleetPlan {
    pub(super) subject: ChaosSubject,
    pub(super) servers: usize,
    pub(super) clients: usize,
    /// Messages a second of each stream, all clients together.
    pub(super) rate: f64,
    pub(super) timeout: f64,
    pub(super) heartbeat: u16,
    pub(super) tag: String,
    /// The URL of the nodes, and that of the proxies.
    pub(super) urls: [String; 2],
    /// Arguments that start this program as a worker.
    pub(super) own: Vec<String>,
    pub(super) python: Option<PathBuf>,
}

/// All processes.
pub(super) struct Fleet {
    plan: FleetPlan,
    runtime: Runtime,
    ledger: Arc<SharedLedger>,
    running: Vec<Worker>,
    next: WorkerNumber,
    /// Records of processes that have ended, and of those that run.
    records: BTreeMap<WorkerNumber, ProcessRecord>,
    /// Number of processes that did not end and were killed.
    hung: u64,
}

struct Worker {
    number: WorkerNumber,
    role: Role,
    is_proxied: bool,
    process: ChildProcess,
}

impl Fleet {
    /// Starts all processes: servers first, so that no client sends without a server.
    pub(super) fn start(plan: FleetPlan, ledger: Arc<SharedLedger>) -> Result<Self> {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let mut fleet = Self {
            plan,
            runtime: runtime.worker_threads(1).enable_time().build()?,
            ledger,
            running: Vec::new(),
            next: 1,
            records: BTreeMap::new(),
            hung: 0,
        };
        fleet.start_all()?;
        Ok(fleet)
    }

    fn start_all(&mut self) -> Result<()> {
        for index in 0..self.plan.servers {
            self.start_one(Role::Server, index)?;
        }
        for index in 0..self.plan.clients {
            self.start_one(Role::Client, index)?;
        }
        Ok(())
    }

    fn start_one(&mut self, role: Role, index: usize) -> Result<()> {
        let number = self.next;
        self.next += 1;
        let is_proxied = index.is_multiple_of(2);
        let setup = serde_json::to_value(self.plan.setup(role, number, is_proxied))?;
        let command = self.plan.command()?;
        self.ledger.watch(self.plan.flows(role, number), sys::monotonic_us());
        let ledger = Arc::clone(&self.ledger);
        let on_line = move |line: &serde_json::Value| {
            if let Ok(message) = WorkerMessage::deserialize(line) {
                ledger.record(number, message);
            }
        };
        let started = self.runtime.block_on(ChildProcess::start(command, &setup, on_line));
        let process = started.with_context(|| format!("{role:?} {number} does not start"))?;
        let (warm, end, casts_unexecuted, casts) = (None, None, 0, None);
        let record = ProcessRecord { role, number, warm, end, casts_unexecuted, casts };
        self.records.insert(number, record);
        self.running.push(Worker { number, role, is_proxied, process });
        Ok(())
    }

    /// Ends all processes and starts new ones.
    pub(super) fn replace(&mut self) -> Result<()> {
        self.end(Role::Client);
        self.end(Role::Server);
        self.start_all()
    }

    /// Ends the processes of this role, which finish their requests. Kills a process that does not
    /// end.
    pub(super) fn end(&mut self, role: Role) {
        let within = END_TIMEOUT + Duration::from_secs_f64(self.plan.timeout);
        let (ending, staying) = self.running.drain(..).partition(|one: &Worker| one.role == role);
        self.running = staying;
        let ending: Vec<Worker> = ending;
        let numbers: Vec<WorkerNumber> = ending.iter().map(|worker| worker.number).collect();
        let ends: Vec<_> = ending
            .into_iter()
            .map(|worker| self.runtime.spawn(worker.process.end_within(within)))
            .collect();
        for end in ends {
            let ended = self.runtime.block_on(end);
            self.hung += u64::from(!matches!(ended, Ok(Ok(()))));
        }
        numbers.into_iter().for_each(|number| self.ledger.forget(number));
    }

    /// Ids of the processes that run.
    pub(super) fn pids(&self) -> BTreeMap<WorkerNumber, u32> {
        self.running.iter().map(|worker| (worker.number, worker.process.pid())).collect()
    }

    /// Measures all processes: once warm, and at the end.
    pub(super) fn measure(&mut self) {
        for worker in &self.running {
            let Some(record) = self.records.get_mut(&worker.number) else { continue };
            let usage = ProcessUsage::of(worker.process.pid());
            match record.warm {
                None => record.warm = usage,
                Some(_) => record.end = usage,
            }
        }
    }

    /// Memory, threads and descriptors of the processes now.
    pub(super) fn usage(&self) -> BTreeMap<WorkerNumber, ProcessUsage> {
        let of = |worker: &Worker| Some((worker.number, ProcessUsage::of(worker.process.pid())?));
        self.running.iter().filter_map(of).collect()
    }

    /// All flows, and whether they go through the proxies.
    pub(super) fn flows(&self) -> BTreeMap<Flow, bool> {
        let of = |worker: &Worker| {
            let is_proxied = worker.is_proxied;
            let flows = self.plan.flows(worker.role, worker.number);
            flows.into_iter().map(move |flow| (flow, is_proxied))
        };
        self.running.iter().flat_map(of).collect()
    }

    /// The name of a flow in reports.
    pub(super) fn name(flow: Flow) -> String {
        match flow {
            Flow::Send(worker, stream) => format!("client {worker}: {}", stream.name()),
            Flow::Receive(worker, consumer) => format!("server {worker}: {}", name_of(&consumer)),
        }
    }

    /// The records of all processes, and the number of those killed.
    pub(super) fn into_records(self) -> (Vec<ProcessRecord>, u64) {
        (self.records.into_values().collect(), self.hung)
    }
}

impl FleetPlan {
    /// The streams that this subject has.
    pub(super) fn streams(&self) -> impl Iterator<Item = Stream> {
        // oslo.messaging has no buffered casts.
        let is_oslo = self.subject == ChaosSubject::Oslo;
        Stream::ALL.into_iter().filter(move |stream| !is_oslo || *stream != Stream::CastBuffered)
    }

    fn flows(&self, role: Role, number: WorkerNumber) -> Vec<Flow> {
        match role {
            Role::Client => self.streams().map(|stream| Flow::Send(number, stream)).collect(),
            Role::Server => Consumer::ALL.map(|one| Flow::Receive(number, one)).to_vec(),
        }
    }

    fn setup(&self, role: Role, number: WorkerNumber, is_proxied: bool) -> Setup {
        let setup = |stream: Stream| StreamSetup {
            stream,
            topic: stream.consumer().topic(&self.tag),
            first_id: Id { worker: number, stream, number: 0 }.to_number(),
        };
        Setup {
            role,
            number,
            url: self.urls[usize::from(is_proxied)].clone(),
            tag: self.tag.clone(),
            rate: self.rate / self.clients as f64,
            timeout: self.timeout,
            heartbeat: self.heartbeat,
            streams: self.streams().map(setup).collect(),
            topics: Consumer::ALL.map(|one| (one, one.topic(&self.tag))).into(),
        }
    }

    fn command(&self) -> Result<Command> {
        match self.subject {
            ChaosSubject::Leveret => {
                let program = std::env::current_exe().context("this program has no path")?;
                let mut command = Command::new(program);
                command.args(&self.own);
                // Workers log faults, which are expected.
                command.env("RUST_LOG", std::env::var("RUST_LOG").unwrap_or("off".to_owned()));
                Ok(command)
            }
            ChaosSubject::Oslo => {
                let python = self.python.as_deref().context("--subject oslo needs --python")?;
                Ok(child_process::python(python, include_str!("worker/worker.py")))
            }
        }
    }
}

/// The name of a value in JSON.
fn name_of(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => name,
        _ => String::new(),
    }
}
