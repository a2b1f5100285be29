//! The processes of one subject in one workload, and the windows measured with them.

use std::cell::Cell;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};

use crate::broker::address::BrokerAddress;
use crate::measure::histogram::histogram;
use crate::measure::protocol::{Command, Report, Role, Sample, Setup, Window};
use crate::placement::Placement;
use crate::results::metrics::{self, sum_of};
use crate::results::run::{Run, Series};
use crate::subject::job::{Subject, oslo_exchange};
use crate::subject::leveret::variant::server;
use crate::suite::broker_usage::BrokerUsage;
use crate::suite::fixture::Fixture;
use crate::suite::member::{Line, Member};
use crate::system::processes;
use crate::workload::lengths;
use crate::workload::workload::{Operation, Payload, Workload};

/// Longest silence of a client beside the window itself: operations end within their timeouts, and
/// then the receiver drains what buffers hold.
const SILENCE_MAX: Duration = Duration::from_secs(120);
/// Seed of payloads: the same in every run.
const SEED: u64 = 1;

/// What all sessions of a plan share.
pub(super) struct Surroundings<'a> {
    pub(super) broker: &'a BrokerAddress,
    /// The same broker behind TLS.
    pub(super) broker_tls: Option<&'a BrokerAddress>,
    pub(super) placement: &'a Placement,
    pub(super) payload_bytes: usize,
    /// Whether a process has logged warnings that all would log.
    pub(super) has_warned: Cell<bool>,
}

/// Running servers and clients of one subject.
pub(super) struct Session<'a> {
    workload: &'a Workload,
    subject: &'a dyn Subject,
    fixture: Fixture,
    clients: Vec<Member>,
    sizes: Vec<usize>,
    rate: Option<f64>,
    broker: BrokerUsage,
}

impl<'a> Session<'a> {
    /// Starts everything. `rate` is what all clients together offer in open loop.
    pub(super) fn start(
        workload: &'a Workload,
        subject: &'a dyn Subject,
        surroundings: &Surroundings<'_>,
        rate: Option<f64>,
    ) -> Result<Self> {
        let sizes = sizes(workload, surroundings.payload_bytes);
        let mut setup = Setup {
            subject: subject.name_in_program(),
            workload: workload.name.to_owned(),
            operation: operation(workload.operation).to_owned(),
            threads: workload.outstanding.unwrap_or(1).max(1),
            sizes: sizes.clone(),
            seed: SEED,
            rate: rate.map(|rate| rate / workload.processes as f64),
            ..Setup::default()
        };
        setup.place(surroundings.placement);
        let broker = (surroundings.broker, surroundings.broker_tls);
        let mut fixture = Fixture::prepare(workload, subject, broker, sizes[0])?;
        setup.url = fixture.address.url();
        setup.topic.clone_from(&fixture.queue);
        setup.exchange = oslo_exchange(&fixture.queue);
        for number in 0..workload.servers {
            let server =
                Setup { role: Role::Server, server: server(number), number, ..setup.clone() };
            fixture.servers.push(Member::start(subject, &server, false)?);
        }
        fixture.servers.iter().try_for_each(Member::await_ready)?;
        let client = |seed| {
            let warns = !surroundings.has_warned.replace(true);
            Member::start(subject, &Setup { seed, ..setup.clone() }, warns)
        };
        let clients: Result<Vec<Member>> =
            (0..workload.processes as u64).map(|n| client(SEED + n)).collect();
        let clients = clients?;
        clients.iter().try_for_each(Member::await_ready)?;
        let broker = BrokerUsage::of(&fixture.address);
        Ok(Self { workload, subject, fixture, clients, sizes, rate, broker })
    }

    /// Measures a window of all clients at once.
    pub(super) fn window(&mut self, window: Window) -> Result<Run> {
        for client in &mut self.clients {
            client.command(&Command::Measure(window))?;
        }
        let mut used = None;
        let mut samples = Vec::new();
        let within = SILENCE_MAX + Duration::from_secs_f64(window.seconds + window.warmup_s);
        for n in 0..self.clients.len() {
            // The marks of the first client stand for all.
            let sample = self.sample_of(n, within, &mut |session| {
                let now = session.usage();
                used = Some(used.map_or((now, None), |(begin, _)| (begin, Some(now))));
            })?;
            samples.push(sample);
        }
        self.fixture.check()?;
        let used = used.and_then(|(begin, end)| Some(end?.since(begin)));
        Ok(self.run(&samples, used))
    }

    fn sample_of(
        &self,
        client: usize,
        within: Duration,
        mark: &mut dyn FnMut(&Self),
    ) -> Result<Sample> {
        loop {
            match self.clients[client].next(within)? {
                Line::Report(Report::Sample(sample)) => return Ok(*sample),
                Line::Report(Report::Failed(reason)) => return Err(anyhow!(reason)),
                Line::Report(Report::Begins(()) | Report::Ends(())) if client == 0 => mark(self),
                Line::Report(Report::Error(text)) => {
                    tracing::warn!(subject = self.subject.name(), "an operation failed: {text}");
                }
                Line::Report(_) | Line::Ready => {}
                Line::End => bail!("its process has ended"),
            }
        }
    }

    /// CPU time of the servers and of the broker so far.
    fn usage(&self) -> Usage {
        let servers = self.fixture.servers.iter().map(|server| processes::cpu_time(server.pid()));
        let servers = servers.sum::<Option<Duration>>().filter(|_| self.workload.is_served());
        Usage { servers, broker: self.broker.cpu_time() }
    }

    fn run(&self, samples: &[Sample], used: Option<Usage>) -> Run {
        let sum = |figure: fn(&Sample) -> u64| samples.iter().map(figure).sum::<u64>();
        let messages = sum(|sample| sample.messages);
        let counted = sum(|sample| sample.counted.unwrap_or(sample.messages));
        let per_message =
            |total: Option<f64>| total.filter(|_| counted > 0).map(|total| total / counted as f64);
        let total = |figure: fn(&Sample) -> Option<f64>| samples.iter().map(figure).sum();
        let cpu = |time: Option<Duration>| {
            let us = time.map(|time| time.as_secs_f64() * 1e6);
            per_message(us.filter(|_| !self.workload.is_beside_flood()))
        };
        let latencies = sum_of(samples.iter().map(|sample| sample.histogram.as_slice()));
        let service = samples.iter().map(|sample| sample.service.as_deref());
        let service = service.collect::<Option<Vec<_>>>().map(|all| sum_of(all.into_iter()));
        let workload = self.workload;
        Run {
            workload: workload.name.to_owned(),
            subject: self.subject.name().to_owned(),
            backend: samples.iter().find_map(|sample| sample.backend.clone()),
            dialect: self.subject.dialect(workload).map(str::to_owned),
            payload_bytes: self.sizes.iter().sum::<usize>() / self.sizes.len().max(1),
            processes: workload.processes,
            threads: sum(|sample| sample.threads as u64) as usize,
            outstanding: workload.outstanding.map(|each| each * workload.processes),
            promises: self.subject.promises(workload),
            messages,
            errors: sum(|sample| sample.errors),
            seconds: samples.iter().map(|sample| sample.seconds).fold(0.0, f64::max),
            rate_per_s: samples.iter().map(|one| one.messages as f64 / one.seconds).sum(),
            offered_per_s: self.rate,
            client_cpu_us_per_msg: per_message(total(|sample| sample.cpu_us)),
            server_cpu_us_per_msg: cpu(used.and_then(|used| used.servers)),
            broker_cpu_us_per_msg: cpu(used.and_then(|used| used.broker)),
            allocations_per_msg: per_message(total(|sample| Some(sample.allocations? as f64))),
            syscalls_per_msg: samples[0].syscalls_per_msg,
            latency_us: metrics::latency(&histogram(&latencies)),
            service_us: service.map(|service| metrics::latency(&histogram(&service))),
            histogram: latencies,
            series: series(samples),
            memory_kib: samples[0].memory_kib,
            wakeups_per_s: samples[0].wakeups_per_s,
        }
    }
}

/// CPU time of processes that are not clients.
#[derive(Clone, Copy)]
struct Usage {
    servers: Option<Duration>,
    broker: Option<Duration>,
}

impl Usage {
    fn since(self, earlier: Self) -> Self {
        let difference = |now: Option<Duration>, then: Option<Duration>| now?.checked_sub(then?);
        Self {
            servers: difference(self.servers, earlier.servers),
            broker: difference(self.broker, earlier.broker),
        }
    }
}

/// The steps of all samples together.
fn series(samples: &[Sample]) -> Series {
    let mut all = Series { step_ms: samples[0].step_ms, ..Series::default() };
    for sample in samples {
        let len = all.messages.len().max(sample.steps.len());
        all.messages.resize(len, 0);
        all.max_us.resize(len, None);
        for (sum, messages) in all.messages.iter_mut().zip(&sample.steps) {
            *sum += messages;
        }
        for (longest, max) in all.max_us.iter_mut().zip(&sample.max_us) {
            // `None` is less than any latency.
            if *max > *longest {
                *longest = *max;
            }
        }
    }
    all
}

/// Payload sizes of a workload, which messages take in turn.
fn sizes(workload: &Workload, chosen: usize) -> Vec<usize> {
    match workload.payload {
        Payload::Chosen => vec![chosen],
        Payload::Bytes(bytes) => vec![bytes],
        Payload::Recorded => lengths::recorded(&mut fastrand::Rng::with_seed(SEED)),
    }
}

/// An operation as processes know it that know no workloads by name.
const fn operation(operation: Operation) -> &'static str {
    match operation {
        Operation::Fanout => "fanout",
        Operation::Notify => "notify",
        Operation::Call | Operation::FirstCall | Operation::Request | Operation::CallUnroutable => {
            "call"
        }
        _ => "cast",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_all_processes_are_one_series() {
        let sample = |steps: &[u64], max_us: &[Option<f64>]| Sample {
            step_ms: 100,
            steps: steps.to_vec(),
            max_us: max_us.to_vec(),
            ..Sample::default()
        };
        let all = series(&[
            sample(&[1, 2], &[Some(5.0), None]),
            sample(&[10, 20, 30], &[Some(4.0), Some(6.0), None]),
        ]);
        assert_eq!(all.messages, [11, 22, 30]);
        assert_eq!(all.max_us, [Some(5.0), Some(6.0), None]);
    }

    #[test]
    fn payloads_are_those_of_the_workload() {
        let of = |name: &str| sizes(&name.parse().expect("in the catalogue"), 200);
        assert_eq!(of("call-1"), [200]);
        assert_eq!(of("size-1k"), [1024]);
        let recorded = of("announced-call");
        assert!(
            recorded.len() >= 100 && recorded.iter().all(|bytes| (500..12_000).contains(bytes))
        );
        assert_eq!(recorded, of("announced-cast"), "the same in every run");
    }
}
