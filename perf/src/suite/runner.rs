//! Runs a plan: each workload by each subject, interleaved in pairs, in windows.
//!
//! A run has three windows: warm-up, the measured one, and a short one that counts system calls,
//! because counting slows them. In a workload that waits for nothing, buffers of the kernel and of
//! the client may hold the messages of a second; its rate is therefore that of the whole run, from
//! the first message until the receiver has processed the last one and answered the close behind
//! it. Invariant: a run ends, whatever the broker does: no progress for `STALL_TIMEOUT` is an
//! error. Not here: figures and reports (`results`).

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::broker_address::BrokerAddress;
use crate::placement::ServerOptions;
use crate::results::metrics;
use crate::results::sample::Run;
use crate::run_state::{Phase, Workers};
use crate::subject::job::{DRAIN_TIMEOUT, Job, Subject};
use crate::suite::fixture::Fixture;
use crate::suite::progress::Progress;
use crate::system::clock;
use crate::system::usage::Meter;
use crate::workload::Workload;

/// Time without a message after which the broker counts as dead.
const STALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for workers to end: the timeout of their last operation, and then the time of the receiver
/// to process all messages.
const STOP_TIMEOUT: Duration = Duration::from_secs(15).saturating_add(DRAIN_TIMEOUT);
/// Interval between two checks of the progress.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// What to run.
pub(crate) struct Plan {
    pub(crate) workloads: Vec<Workload>,
    /// Leveret first, then the others.
    pub(crate) subjects: Vec<Box<dyn Subject>>,
    pub(crate) pairs: usize,
    pub(crate) seconds: f64,
    pub(crate) payload_bytes: usize,
    pub(crate) server_options: ServerOptions,
    pub(crate) broker: BrokerAddress,
}

impl Plan {
    /// Runs everything, and passes each finished run to `keep` at once, so that a failure loses
    /// only later runs.
    pub(crate) fn run(&self, mut keep: impl FnMut(Run)) -> Result<()> {
        let order = self.order();
        let progress = Progress::new(order.len());
        for (workload, subject) in order {
            progress.begin(workload.name, subject.name());
            let run = self
                .run_once(workload, subject)
                .with_context(|| format!("{workload} by {}", subject.name()))?;
            progress.end(workload.name, subject.name(), run.rate_per_s);
            keep(run);
        }
        Ok(())
    }

    /// Workload by workload, pair by pair, subject by subject. Each pair begins with the next
    /// subject (A B C, B C A), so that no subject always runs after the same one.
    fn order(&self) -> Vec<(&Workload, &dyn Subject)> {
        let mut order = Vec::new();
        for workload in &self.workloads {
            let able = self.subjects.iter().filter(|subject| subject.measures(workload));
            let able: Vec<_> = able.map(|subject| (workload, subject.as_ref())).collect();
            for pair in 0..self.pairs {
                let (before, from) = able.split_at(pair % able.len().max(1));
                order.extend(from.iter().chain(before).copied());
            }
        }
        order
    }

    fn run_once(&self, workload: &Workload, subject: &dyn Subject) -> Result<Run> {
        let mut fixture = Fixture::prepare(
            workload,
            subject,
            self.server_options,
            &self.broker,
            self.payload_bytes,
        )?;
        let job = Job {
            workload: *workload,
            address: fixture.address.clone(),
            queue: fixture.queue.clone(),
            body: Arc::from(body(self.payload_bytes)),
        };
        let mut workers = Workers::new();
        subject.start(&job, &mut workers)?;
        let run = self.measure(workload, subject, workers)?;
        fixture.check()?;
        Ok(run)
    }

    fn measure(
        &self,
        workload: &Workload,
        subject: &dyn Subject,
        mut workers: Workers,
    ) -> Result<Run> {
        let measured = Duration::from_secs_f64(self.seconds);
        let apart = measured.div_f64(5.0).clamp(Duration::from_millis(50), Duration::from_secs(1));
        pass(&mut workers, apart)?;
        until_first(&mut workers)?;

        let mut meter = Meter::new();
        let (done_before, errors_before) = workers.counts();
        let used_before = meter.read();
        let start = clock::now();
        workers.enter(Phase::Measured);
        pass(&mut workers, measured)?;
        workers.enter(Phase::SyscallCount);
        let seconds = (clock::now() - start).as_secs_f64();
        let used = meter.read().since(used_before);
        let (done, errors) = workers.counts();
        let in_window = (done - done_before, errors - errors_before);
        if in_window.0 == 0 {
            bail!("no message got through in {seconds:.1} s");
        }
        let is_ours = !workload.is_beside_flood();
        let per_msg = |used: u64| is_ours.then(|| used as f64 / in_window.0 as f64);

        let syscalls_per_msg = syscalls(&meter, &mut workers, apart)?.filter(|_| is_ours);
        let totals = workers.finish(STOP_TIMEOUT)?;
        let ((messages, errors), seconds) = if workload.is_handed_over() {
            (totals.counts, totals.took.as_secs_f64())
        } else {
            (in_window, seconds)
        };
        Ok(Run {
            workload: workload.name.to_owned(),
            subject: subject.name().to_owned(),
            backend: subject.backend(),
            dialect: subject.dialect(workload).map(str::to_owned),
            payload_bytes: self.payload_bytes,
            threads: workload.clients,
            outstanding: workload.outstanding,
            messages,
            errors,
            seconds,
            rate_per_s: messages as f64 / seconds,
            client_cpu_us_per_msg: per_msg(used.cpu_ns).map(|ns| ns / 1000.0),
            allocations_per_msg: per_msg(used.allocations),
            syscalls_per_msg,
            latency_us: metrics::latency(&totals.latency),
        })
    }
}

/// The payload of every message: lower-case letters, the same in every run.
fn body(bytes: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(1);
    (0..bytes).map(|_| random.lowercase() as u8).collect()
}

/// System calls per message, over a window of their own.
fn syscalls(meter: &Meter, workers: &mut Workers, window: Duration) -> Result<Option<f64>> {
    let Some(count) = meter.count_syscalls() else { return Ok(None) };
    let (done_before, calls_before) = (workers.counts().0, count.read());
    pass(workers, window)?;
    let (done, calls) = (workers.counts().0, count.read());
    let messages = done - done_before;
    let calls = calls.zip(calls_before).map(|(now, before)| now - before);
    Ok(calls.filter(|_| messages > 0).map(|calls| calls as f64 / messages as f64))
}

/// Waits for `window`, or fails without progress.
fn pass(workers: &mut Workers, window: Duration) -> Result<()> {
    let end = clock::now() + window;
    let mut progress = (workers.counts(), clock::now());
    loop {
        let now = clock::now();
        let left = end.saturating_duration_since(now);
        if left.is_zero() {
            return Ok(());
        }
        workers.watch(left.min(POLL_INTERVAL))?;
        let counts = workers.counts();
        if counts != progress.0 {
            progress = (counts, now);
        } else if now - progress.1 > STALL_TIMEOUT {
            bail!("nothing moves for {STALL_TIMEOUT:?}; the broker does not answer any more");
        }
    }
}

/// Waits for the first message.
fn until_first(workers: &mut Workers) -> Result<()> {
    let deadline = clock::now() + STALL_TIMEOUT;
    while workers.counts().0 == 0 {
        if clock::now() > deadline {
            bail!("no message got through in {STALL_TIMEOUT:?}");
        }
        workers.watch(POLL_INTERVAL)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::placement::{BackendName, ExecutorName};
    use crate::workload::CATALOGUE;

    struct Fake(&'static str);

    impl Subject for Fake {
        fn name(&self) -> &'static str {
            self.0
        }
        fn start(&self, _job: &Job, _crew: &mut Workers) -> Result<()> {
            Ok(())
        }
        fn serve(&self, _: &BrokerAddress, _: &str, _: usize, _: Box<dyn FnOnce()>) -> Result<()> {
            Ok(())
        }
    }

    fn plan(pairs: usize, seconds: f64) -> Plan {
        Plan {
            workloads: CATALOGUE.into_iter().filter(|w| w.name.starts_with("engine-pub")).collect(),
            subjects: vec![Box::new(Fake("a")), Box::new(Fake("b"))],
            pairs,
            seconds,
            payload_bytes: 20,
            server_options: ServerOptions {
                backend: BackendName::Auto,
                executor: ExecutorName::Threads,
                busy_poll: 0,
            },
            broker: BrokerAddress::local(([127, 0, 0, 1], 1).into()),
        }
    }

    #[test]
    fn subjects_take_turns() {
        let plan = plan(2, 1.0);
        let order: Vec<&str> = plan.order().iter().map(|(_, subject)| subject.name()).collect();
        assert_eq!(order[..4], ["a", "b", "b", "a"]);
        assert_eq!(order.len(), 3 * 2 * 2);
    }

    #[test]
    fn a_window_is_measured_from_what_workers_count() {
        let mut workers = Workers::new();
        workers
            .spawn("worker", |probe| {
                while probe.running() {
                    let start = clock::now();
                    std::thread::sleep(Duration::from_micros(100));
                    probe.latency(start, clock::now());
                    probe.done(1);
                }
                Ok(())
            })
            .expect("threads start");
        let plan = plan(1, 0.1);
        let run = plan.measure(&plan.workloads[0], &Fake("a"), workers).expect("it works");
        assert!(run.messages > 0 && run.rate_per_s > 0.0 && run.seconds >= 0.1);
        assert!(run.latency_us.p50.expect("latencies were kept") >= 100.0);
    }

    #[test]
    fn bodies_are_letters_and_always_the_same() {
        assert_eq!(body(50), body(50));
        assert!(body(50).iter().all(u8::is_ascii_lowercase));
    }
}
