//! One run: the fleet warms up, faults are made one by one, queues are drained, and requests are
//! judged.
//!
//! After a fault the run waits until every flow has succeeded since. If one has not within
//! `RECOVERY_TIMEOUT`, it is counted and all processes are started again, so that the next fault
//! meets a fleet that works. Invariant: faults never overlap. Not here: how faults are made
//! (`site`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::fleet::{Fleet, FleetPlan};
use super::ledger::{Flow, Ledger, Request, SharedLedger};
use super::scheduling_delay::DelayMonitor;
use super::sequence::{CountsFrom, Fault};
use super::site::Site;
use super::stream::{Id, Stream};
use crate::chaos::protocol::Role;
use crate::chaos::protocol::{Health, HealthReading};
use crate::chaos::results::record::{Example, FaultRecord, FlowRecovery, Record, Settings};
use crate::chaos::results::report::progress;
use crate::chaos::results::verdict::{Conditions, Counts, QueueDeletion};
use crate::cli::chaos::ChaosArgs;
use crate::cli::command_line::Cli;
use crate::system::sys;

/// Longest wait after a fault until all flows work again.
///
/// It covers an audit of the topology, which comes every 30 s.
const RECOVERY_TIMEOUT: Duration = Duration::from_secs(45);
/// Time before the first fault, in which processes fill their caches and pools.
const WARM_UP: Duration = Duration::from_secs(3);
/// Time without an execution after which draining ends.
const DRAINED_AFTER: Duration = Duration::from_secs(10);
/// Interval between two readings of the ledger.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// Largest number of examples of a broken promise in one stream; all are counted.
const EXAMPLES: usize = 3;

/// A run under way.
pub(super) struct Run {
    settings: Settings,
    dwell: Duration,
    site: Box<dyn Site>,
    fleet: Fleet,
    ledger: Arc<SharedLedger>,
    delay: DelayMonitor,
    start_us: u64,
    deletions: Vec<QueueDeletion>,
    /// Each fault, and when it began.
    made: Vec<(u64, FaultRecord)>,
}

impl Run {
    /// Starts the fleet and lets it warm up.
    pub(super) fn start(
        cli: &Cli,
        args: &ChaosArgs,
        (seed, tag): (u64, String),
        site: Box<dyn Site>,
    ) -> Result<Self> {
        let settings = Settings {
            subject: args.subject,
            seed,
            nodes: site.nodes(),
            clients: args.clients,
            servers: args.servers,
            rate_per_s: args.rate(),
            timeout_s: args.timeout,
            heartbeat_s: args.heartbeat,
            options: args.options.clone(),
            broker: site.broker(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let plan = plan(cli, args, tag, site.urls());
        let ledger = Arc::<SharedLedger>::default();
        progress("starting the fleet");
        let fleet = Fleet::start(plan, Arc::clone(&ledger))?;
        let dwell = Duration::from_secs_f64(args.dwell);
        let (delay, start_us) = (DelayMonitor::start()?, sys::monotonic_us());
        let (deletions, made) = (Vec::new(), Vec::new());
        let mut run =
            Self { settings, dwell, site, fleet, ledger, delay, start_us, deletions, made };
        run.warm_up()?;
        Ok(run)
    }

    fn warm_up(&mut self) -> Result<()> {
        self.delay.watch(self.fleet.pids());
        let stuck = self.await_success();
        if !stuck.is_empty() {
            bail!("without any fault these do not work: {}", stuck.join(", "));
        }
        std::thread::sleep(WARM_UP);
        self.fleet.measure();
        Ok(())
    }

    /// Makes these faults one after the other; returns the record of the run.
    pub(super) fn make(mut self, faults: &[Fault]) -> Result<Record> {
        let mut cut_short = None;
        for fault in faults {
            if sys::asked_to_stop() {
                cut_short = Some(format!("it was told to stop before fault {}", fault.index));
                break;
            }
            if let Err(error) = self.make_one(fault) {
                cut_short = Some(format!("{error:#}"));
                break;
            }
        }
        if cut_short.is_none() {
            self.fleet.measure();
        }
        progress("draining");
        self.fleet.end(Role::Client);
        self.drain();
        self.fleet.end(Role::Server);
        self.into_record(cut_short)
    }

    fn make_one(&mut self, fault: &Fault) -> Result<()> {
        let detail = self.site.describe(fault);
        let context = || format!("fault {} ({} {detail})", fault.index, fault.kind.name());
        // On a busy machine a node may have missed the others since the last fault.
        self.site.await_whole().with_context(context)?;
        let begin_us = sys::monotonic_us();
        self.made.push((begin_us, self.fault_record(fault, &detail, begin_us)));
        if let Err(error) = self.site.begin(fault).with_context(context) {
            // Ends what has begun, so that requests sent before are executed.
            let _ = self.site.end(fault);
            return Err(error);
        }
        let struck_us = sys::monotonic_us();
        let consumers = self.site.deleted_consumers(fault);
        if !consumers.is_empty() {
            self.deletions.push(QueueDeletion::of(&consumers, struck_us));
        }
        self.ledger.watch(self.fleet.flows().into_keys(), struck_us);
        std::thread::sleep(fault.hold());
        self.site.end(fault).with_context(context)?;
        let end_us = sys::monotonic_us();
        let from_end = self.fleet.flows().into_keys().filter(|flow| {
            let counts_from = fault.kind.counts_from(flow.consumer().is_quorum());
            counts_from == CountsFrom::End
        });
        self.ledger.watch(from_end, end_us);
        let mut stuck = self.await_success();
        if !stuck.is_empty() && self.site.repair_broker(fault).with_context(context)? {
            stuck = self.await_success();
        }
        let is_stuck = !stuck.is_empty();
        self.note_times(fault, (begin_us, end_us), stuck);
        if is_stuck {
            self.fleet.replace().context("the fleet cannot be started again")?;
            self.warm_up()?;
        }
        std::thread::sleep(self.dwell);
        Ok(())
    }

    fn fault_record(&self, fault: &Fault, detail: &str, begin_us: u64) -> FaultRecord {
        let begin_ms = (begin_us - self.start_us) / 1000;
        FaultRecord {
            fault: fault.clone(),
            detail: detail.to_owned(),
            begin_ms,
            end_ms: begin_ms,
            counts: Counts::default(),
            back: Vec::new(),
            connected_ms: Vec::new(),
            usage: BTreeMap::new(),
            stuck: Vec::new(),
        }
    }

    /// Waits until all watched flows have succeeded and all processes report good health; returns
    /// the names of those that do not work in time.
    fn await_success(&self) -> Vec<String> {
        let deadline = sys::monotonic_us() + RECOVERY_TIMEOUT.as_micros() as u64;
        loop {
            let recoveries = self.ledger.recoveries();
            let waiting = recoveries.iter().filter(|(_, recovery)| recovery.first_us.is_none());
            let waiting: Vec<Flow> = waiting.map(|(flow, _)| *flow).collect();
            let health = self.ledger.health_since(u64::MAX);
            let last = |(worker, readings): (_, &Vec<HealthReading>)| {
                Some((worker, readings.last()?.1.clone()))
            };
            let health: BTreeMap<_, Health> = health.iter().filter_map(last).collect();
            let is_well = waiting.is_empty() && health.values().all(Health::is_ready);
            if is_well || sys::monotonic_us() > deadline {
                let unready = health.iter().filter(|(_, health)| !health.is_ready());
                let unready = unready.map(|(worker, health)| format!("{worker}: {}", health.wrong));
                return waiting.iter().map(|flow| Fleet::name(*flow)).chain(unready).collect();
            }
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    /// Records how soon the flows that the fault reached worked again.
    fn note_times(&mut self, fault: &Fault, (begin_us, end_us): (u64, u64), stuck: Vec<String>) {
        let flows: BTreeMap<Flow, bool> = self.fleet.flows();
        let is_reached =
            |flow: &Flow| !fault.kind.is_of_proxies() || flows.get(flow).copied().unwrap_or(false);
        let Some((_, record)) = self.made.last_mut() else { return };
        for (flow, recovery) in self.ledger.recoveries() {
            let Some(first_us) = recovery.first_us.filter(|_| is_reached(&flow)) else { continue };
            let role = match flow {
                Flow::Send(..) => Role::Client,
                Flow::Receive(..) => Role::Server,
            };
            record.back.push(FlowRecovery {
                flow: Fleet::name(flow),
                role,
                is_quorum: flow.consumer().is_quorum(),
                ms: first_us.saturating_sub(recovery.since_us) as f64 / 1000.0,
            });
        }
        let since_us = match fault.kind.counts_from(true) {
            CountsFrom::Begin => begin_us,
            CountsFrom::End => end_us,
        };
        let readings = self.ledger.health_since(begin_us);
        let connected = readings.values().filter_map(|readings| connected_us(readings, begin_us));
        let ms = |at_us: u64| at_us.saturating_sub(since_us) as f64 / 1000.0;
        record.connected_ms = connected.map(ms).collect();
        record.usage = self.fleet.usage();
        record.end_ms = (end_us - self.start_us) / 1000;
        record.stuck = stuck;
        progress(&line(fault, record));
    }

    /// Waits until all accepted requests are executed, or until executions stop.
    fn drain(&self) {
        let (mut left, mut since) = (usize::MAX, sys::monotonic_us());
        loop {
            let now = self.ledger.unexecuted();
            if now < left {
                (left, since) = (now, sys::monotonic_us());
            }
            let idle = Duration::from_micros(sys::monotonic_us() - since);
            if left == 0 || idle > DRAINED_AFTER {
                return;
            }
            std::thread::sleep(POLL_INTERVAL * 10);
        }
    }

    fn into_record(self, cut_short: Option<String>) -> Result<Record> {
        let delays = self.delay.stop();
        let waited = delays.values().flatten().map(|delay| delay.waited_us);
        let delay_max_us = waited.max().unwrap_or(0);
        let timeout_us = (self.settings.timeout_s * 1e6) as u64;
        let mut conditions = Conditions { timeout_us, deletions: self.deletions, delays };
        let (processes, hung) = self.fleet.into_records();
        let ledger = Arc::into_inner(self.ledger).context("no reader of a process is left")?;
        let mut record = Record {
            settings: self.settings,
            before: Counts::default(),
            faults: Vec::new(),
            streams: BTreeMap::new(),
            processes,
            hung,
            cut_short,
            lag_max_ms: delay_max_us as f64 / 1000.0,
            examples: Vec::new(),
        };
        let begins: Vec<u64> = self.made.iter().map(|(begin_us, _)| *begin_us).collect();
        record.faults = self.made.into_iter().map(|(_, fault)| fault).collect();
        let entries = ledger.into_ledger();
        conditions.note_executions(&entries);
        judge(&mut record, &entries, &conditions, (self.start_us, &begins));
        Ok(record)
    }
}

/// When a process that was disconnected since the fault began was connected for good.
fn connected_us(readings: &[HealthReading], begin_us: u64) -> Option<u64> {
    let apart =
        readings.iter().rposition(|(at, health)| *at >= begin_us && !health.is_connected)?;
    readings.get(apart + 1).map(|(at_us, _)| *at_us)
}

/// The line that is printed after a fault.
fn line(fault: &Fault, record: &FaultRecord) -> String {
    let latest = |role| {
        let of_role = record.back.iter().filter(|back| back.role == role);
        of_role.map(|back| back.ms).fold(0.0, f64::max)
    };
    let node = match fault.kind.has_node() {
        true => format!(", node {}", fault.node),
        false => String::new(),
    };
    let comma = if record.detail.is_empty() { "" } else { ", " };
    let back = match record.stuck.len() {
        0 => String::new(),
        stuck => format!("; not back after {RECOVERY_TIMEOUT:?}: {stuck}, all are started again"),
    };
    format!(
        "fault {} ({}{node}{comma}{}): clients back within {:.0} ms, servers within {:.0} ms{back}",
        fault.index,
        fault.kind.name(),
        record.detail,
        latest(Role::Client),
        latest(Role::Server)
    )
}

/// Counts every request in the window of the fault that it began after.
fn judge(
    record: &mut Record,
    entries: &Ledger,
    conditions: &Conditions,
    (start, begins): (u64, &[u64]),
) {
    let (mut streams, mut examples) = (BTreeMap::<Stream, Counts>::new(), Vec::new());
    for (id, request) in entries.requests() {
        let mut one = Counts::default();
        one.add(id, request, entries, conditions);
        let after = begins.partition_point(|begin| *begin <= request.begun_us).checked_sub(1);
        let window = match after {
            Some(fault) => &mut record.faults[fault].counts,
            None => &mut record.before,
        };
        *window += &one;
        if id.stream == Stream::CastBuffered
            && let Some(client) = record.processes.iter_mut().find(|one| one.number == id.worker)
        {
            client.casts_unexecuted += one.lost_unpromised;
        }
        *streams.entry(id.stream).or_default() += &one;
        if one.breaks_a_promise() {
            let fault = after.map(|fault| record.faults[fault].fault.index);
            examples.push(example(&one, (id, request), entries, (start, fault)));
        }
    }
    for process in &mut record.processes {
        process.casts = entries.buffered(process.number);
    }
    examples.sort_by(|one, other| one.begun_ms.total_cmp(&other.begun_ms));
    let mut listed = BTreeMap::<_, usize>::new();
    examples.retain(|example| {
        let of_its_kind =
            listed.entry((example.broke.clone(), example.stream.clone())).or_default();
        *of_its_kind += 1;
        *of_its_kind <= EXAMPLES
    });
    record.examples = examples;
    let named = streams.into_iter().map(|(stream, counts)| (stream.name().to_owned(), counts));
    record.streams = named.collect();
}

fn example(
    counts: &Counts,
    (id, request): (Id, &Request),
    entries: &Ledger,
    (start_us, fault): (u64, Option<u32>),
) -> Example {
    let broke = match counts {
        Counts { lost: 1.., .. } => "lost",
        Counts { twice_once: 1.., .. } => "executed twice",
        Counts { late: 1.., .. } => "late",
        _ => "said falsely",
    };
    let ms = |us: u64| us as f64 / 1000.0;
    let end_us = request.end.map_or(request.begun_us, |end| end.at_us);
    Example {
        broke: broke.to_owned(),
        stream: id.stream.name().to_owned(),
        client: id.worker,
        begun_ms: ms(request.begun_us.saturating_sub(start_us)),
        took_ms: ms(end_us - request.begun_us),
        told: entries.label_of(request).unwrap_or("nothing").to_owned(),
        executions: request.executions,
        fault,
    }
}

fn plan(cli: &Cli, args: &ChaosArgs, tag: String, urls: [String; 2]) -> FleetPlan {
    let own = ["--backend".to_owned(), cli.backend.to_string(), "chaos-worker".to_owned()];
    FleetPlan {
        subject: args.subject,
        servers: args.servers,
        clients: args.clients,
        rate: args.rate(),
        timeout: args.timeout,
        heartbeat: args.heartbeat,
        tag,
        urls: urls.map(|url| with_options(url, &args.options)),
        own: own.to_vec(),
        python: args.python.clone(),
    }
}

/// The URL with these options in its query.
fn with_options(mut url: String, options: &[String]) -> String {
    for option in options {
        url.push(if url.contains('?') { '&' } else { '?' });
        url.push_str(option);
    }
    url
}
