//! The state of a run: its phase, and what its worker threads count.
//!
//! Workers send as fast as they can and count; the runner changes the phase and reads the counts.
//! Invariant: each counter has one writer, so counting costs a plain store.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use hdrhistogram::Histogram;

use crate::system::clock;

/// Longest latency a histogram holds, one minute in nanoseconds; longer ones count as this.
const LATENCY_MAX_NS: u64 = 60_000_000_000;

/// Length of a step of the measured phase.
pub(crate) const STEP: Duration = Duration::from_millis(100);
const STEP_NS: u64 = STEP.as_nanos() as u64;
/// Steps that are kept apart; the last one holds all later ones.
const STEPS_MAX: usize = 3000;

/// The phase of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Phase {
    /// Caches, pools and the broker get warm. Only messages are counted.
    Warmup,
    /// Rates, CPU time and latencies are measured.
    Measured,
    /// System calls are counted, in a phase of their own because counting slows them.
    SyscallCount,
    /// Workers return.
    Done,
}

/// The counts of one worker.
#[derive(Debug, Default)]
#[repr(align(64))]
struct WorkerCounts {
    done: AtomicU64,
    errors: AtomicU64,
}

/// The state that the runner and its workers share.
#[derive(Debug)]
struct Shared {
    phase: AtomicU8,
    origin: Instant,
    /// Begin and end of the measured phase, in nanoseconds after `origin`; [`NEVER`] before.
    begun: AtomicU64,
    ended: AtomicU64,
}

/// No instant of a run.
const NEVER: u64 = u64::MAX;

impl Shared {
    fn ns(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.origin).as_nanos()).unwrap_or(NEVER)
    }

    /// Nanoseconds from the begin of the measured phase to `at`, if it lies in that phase.
    fn in_window(&self, at: Instant) -> Option<u64> {
        let at = self.ns(at);
        let begun = self.begun.load(Relaxed);
        (at >= begun && at < self.ended.load(Relaxed)).then(|| at - begun)
    }
}

/// Latencies of the measured phase.
#[derive(Debug)]
pub(crate) struct Latencies {
    /// Closed loop: from the start of an operation. Open loop: from the time it was due.
    pub(crate) total: Histogram<u64>,
    /// Open loop: from the start of an operation.
    pub(crate) service: Histogram<u64>,
    /// The longest of each step, in nanoseconds; 0 for a step without one.
    pub(crate) longest: Vec<u64>,
}

impl Latencies {
    fn new() -> Self {
        Self { total: empty_histogram(), service: empty_histogram(), longest: Vec::new() }
    }

    fn record(&mut self, since_begin: u64, ns: u64) {
        self.total.saturating_record(ns);
        let step = usize::try_from(since_begin / STEP_NS).unwrap_or(STEPS_MAX).min(STEPS_MAX - 1);
        if self.longest.len() <= step {
            self.longest.resize(step + 1, 0);
        }
        self.longest[step] = self.longest[step].max(ns);
    }

    fn add(&mut self, other: &Self) -> Result<()> {
        self.total.add(&other.total).context("histograms have one shape")?;
        self.service.add(&other.service).context("histograms have one shape")?;
        if self.longest.len() < other.longest.len() {
            self.longest.resize(other.longest.len(), 0);
        }
        for (ours, theirs) in self.longest.iter_mut().zip(&other.longest) {
            *ours = (*ours).max(*theirs);
        }
        Ok(())
    }
}

/// What a worker thread counts with.
pub(crate) struct Probe {
    shared: Arc<Shared>,
    counts: Arc<WorkerCounts>,
    done: u64,
    errors: u64,
    latencies: Latencies,
    handicap: Option<Handicap>,
}

/// Wastes a share of the time between messages: a slowdown of a known size, to see whether a
/// machine can tell.
struct Handicap {
    share: f64,
    last: Instant,
}

impl Handicap {
    fn waste(&mut self) {
        let now = clock::now();
        let until = now + (now - self.last).mul_f64(self.share);
        while clock::now() < until {
            std::hint::spin_loop();
        }
        self.last = clock::now();
    }
}

impl Probe {
    /// Whether the worker should go on. Cheap enough for every message.
    pub(crate) fn running(&self) -> bool {
        self.shared.phase.load(Relaxed) != Phase::Done as u8
    }

    /// Counts `n` finished messages.
    pub(crate) fn done(&mut self, n: u64) {
        if let Some(handicap) = &mut self.handicap {
            handicap.waste();
        }
        self.done += n;
        self.counts.done.store(self.done, Relaxed);
    }

    /// Counts `n` failed messages.
    pub(crate) fn failed(&mut self, n: u64) {
        self.errors += n;
        self.counts.errors.store(self.errors, Relaxed);
    }

    /// Records the latency of one operation, if it ended in the measured phase.
    pub(crate) fn latency(&mut self, start: Instant, end: Instant) {
        if self.shared.phase.load(Relaxed) == Phase::Measured as u8
            && let Some(at) = self.shared.in_window(end)
        {
            self.latencies.record(at, nanoseconds(start, end));
        }
    }

    /// Records the latency of one operation of an open loop, if it was due in the measured phase,
    /// whenever it ended: a stall at the end of the phase counts as well.
    pub(crate) fn due_latency(&mut self, due: Instant, start: Instant, end: Instant) {
        if let Some(at) = self.shared.in_window(due) {
            self.latencies.record(at, nanoseconds(due, end));
            self.latencies.service.saturating_record(nanoseconds(start, end));
        }
    }
}

fn nanoseconds(start: Instant, end: Instant) -> u64 {
    let taken = end.saturating_duration_since(start).as_nanos();
    u64::try_from(taken).unwrap_or(LATENCY_MAX_NS)
}

/// What a worker reports when it ends.
struct WorkerReport {
    result: Result<()>,
    latencies: Latencies,
    began: Instant,
    ended: Instant,
}

/// Totals of a run.
pub(crate) struct RunTotals {
    /// Latencies of all workers.
    pub(crate) latencies: Latencies,
    /// Messages finished and failed, since the start of the run.
    pub(crate) counts: (u64, u64),
    /// From the first worker's start until the last one returned.
    pub(crate) took: Duration,
}

/// The worker threads of one run.
pub(crate) struct Workers {
    shared: Arc<Shared>,
    counts_of_workers: Vec<Arc<WorkerCounts>>,
    reports: Receiver<WorkerReport>,
    report: Sender<WorkerReport>,
    ended: usize,
    /// A share of its time that each worker wastes.
    handicap: Option<f64>,
    /// The last counts that differed from those before, and when they were seen.
    progress: ((u64, u64), Instant),
}

impl Workers {
    /// No workers yet, in the warm-up phase.
    pub(crate) fn new() -> Self {
        let (report, reports) = channel();
        let shared = Arc::new(Shared {
            phase: AtomicU8::new(Phase::Warmup as u8),
            origin: clock::now(),
            begun: AtomicU64::new(NEVER),
            ended: AtomicU64::new(NEVER),
        });
        Self {
            shared,
            counts_of_workers: Vec::new(),
            reports,
            report,
            ended: 0,
            handicap: None,
            progress: ((0, 0), clock::now()),
        }
    }

    /// Makes workers waste this share of their time.
    pub(crate) fn with_handicap(mut self, share: f64) -> Self {
        self.handicap = (share > 0.0).then_some(share);
        self
    }

    /// Starts a worker thread, which works until [`Probe::running`] returns false.
    pub(crate) fn spawn<F>(&mut self, name: &str, work: F) -> Result<()>
    where
        F: FnOnce(&mut Probe) -> Result<()> + Send + 'static,
    {
        let counts = Arc::new(WorkerCounts::default());
        self.counts_of_workers.push(Arc::clone(&counts));
        let (shared, latencies) = (Arc::clone(&self.shared), Latencies::new());
        let handicap = self.handicap.map(|share| Handicap { share, last: clock::now() });
        let mut probe = Probe { shared, counts, done: 0, errors: 0, latencies, handicap };
        let report = self.report.clone();
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                let began = clock::now();
                let result = work(&mut probe);
                let (latencies, ended) = (probe.latencies, clock::now());
                // This fails after the runner has given up on the worker.
                let _ = report.send(WorkerReport { result, latencies, began, ended });
            })
            .context("a worker thread does not start")?;
        Ok(())
    }

    /// The number of worker threads.
    pub(crate) fn len(&self) -> usize {
        self.counts_of_workers.len()
    }

    /// Enters a phase.
    pub(crate) fn enter(&self, phase: Phase) {
        let now = self.shared.ns(clock::now());
        if phase == Phase::Measured {
            self.shared.begun.store(now, Relaxed);
        } else if self.shared.begun.load(Relaxed) != NEVER {
            self.shared.ended.fetch_min(now, Relaxed);
        }
        self.shared.phase.store(phase as u8, Relaxed);
    }

    /// Messages finished and failed so far.
    pub(crate) fn counts(&self) -> (u64, u64) {
        self.counts_of_workers.iter().fold((0, 0), |(done, errors), counts| {
            (done + counts.done.load(Relaxed), errors + counts.errors.load(Relaxed))
        })
    }

    /// How long no message has been finished or failed.
    pub(crate) fn still_for(&mut self) -> Duration {
        let (counts, now) = (self.counts(), clock::now());
        if counts != self.progress.0 {
            self.progress = (counts, now);
        }
        now - self.progress.1
    }

    /// Waits for `pause`. A worker that ends before [`Phase::Done`] is an error.
    pub(crate) fn watch(&mut self, pause: Duration) -> Result<()> {
        match self.reports.recv_timeout(pause) {
            Err(RecvTimeoutError::Timeout) => Ok(()),
            Ok(ended_worker) => {
                self.ended += 1;
                ended_worker.result?;
                Err(anyhow!("a worker stopped before its time"))
            }
            Err(RecvTimeoutError::Disconnected) => Err(anyhow!("all workers are gone")),
        }
    }

    /// Ends the run, waits up to `grace` for the workers, and merges their reports.
    pub(crate) fn finish(mut self, grace: Duration) -> Result<RunTotals> {
        self.enter(Phase::Done);
        let deadline = clock::now() + grace;
        let mut latencies = Latencies::new();
        let mut span: Option<(Instant, Instant)> = None;
        while self.ended < self.counts_of_workers.len() {
            let left = deadline.saturating_duration_since(clock::now());
            let ended_worker = self
                .reports
                .recv_timeout(left)
                .map_err(|_| anyhow!("a worker did not stop within {grace:?}"))?;
            self.ended += 1;
            ended_worker.result?;
            latencies.add(&ended_worker.latencies)?;
            let (began, ended) = span.unwrap_or((ended_worker.began, ended_worker.ended));
            span = Some((began.min(ended_worker.began), ended.max(ended_worker.ended)));
        }
        let took = span.map_or(Duration::ZERO, |(began, ended)| ended - began);
        Ok(RunTotals { latencies, counts: self.counts(), took })
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.enter(Phase::Done);
    }
}

fn empty_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_MAX_NS, 3).expect("constant bounds are valid")
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(20);

    #[test]
    fn counts_of_all_workers_add_up() {
        let mut workers = Workers::new();
        for worker in 0..3 {
            workers
                .spawn(&format!("worker-{worker}"), |probe| {
                    probe.done(5);
                    probe.failed(1);
                    while probe.running() {
                        std::thread::yield_now();
                    }
                    Ok(())
                })
                .expect("threads start");
        }
        while workers.counts() != (15, 3) {
            workers.watch(Duration::from_millis(1)).expect("no worker ends early");
        }
        let finished = workers.finish(GRACE).expect("all return");
        assert!(finished.latencies.total.is_empty());
        assert_eq!(finished.counts, (15, 3));
    }

    #[test]
    fn only_the_measured_window_keeps_latencies() {
        let mut workers = Workers::new();
        workers
            .spawn("worker", |probe| {
                let start = clock::now();
                probe.latency(start, start + Duration::from_micros(1));
                probe.done(1);
                while probe.shared.phase.load(Relaxed) != Phase::Measured as u8 {
                    std::thread::yield_now();
                }
                let end = clock::now();
                let start = end.checked_sub(Duration::from_micros(250)).expect("after boot");
                probe.latency(start, end);
                probe.done(1);
                Ok(())
            })
            .expect("threads start");
        while workers.counts().0 < 1 {
            std::thread::yield_now();
        }
        workers.enter(Phase::Measured);
        while workers.counts().0 < 2 {
            std::thread::yield_now();
        }
        let latency = workers.finish(GRACE).expect("returns").latencies;
        let latency = latency.total;
        assert_eq!(latency.len(), 1);
        assert!((latency.max() as f64 / 250_000.0 - 1.0).abs() < 0.01);
    }

    #[test]
    fn a_run_takes_until_its_last_worker_returned() {
        let mut workers = Workers::new();
        let farewell = Duration::from_millis(30);
        for wait in [farewell, Duration::ZERO] {
            let work = move |probe: &mut Probe| {
                probe.done(1);
                while probe.running() {
                    std::thread::yield_now();
                }
                std::thread::sleep(wait);
                Ok(())
            };
            workers.spawn("worker", work).expect("threads start");
        }
        assert!(workers.finish(GRACE).expect("all return").took >= farewell);
    }

    #[test]
    fn a_worker_that_fails_ends_the_run_with_its_reason() {
        let mut workers = Workers::new();
        workers.spawn("worker", |_| Err(anyhow!("the broker is gone"))).expect("threads start");
        let error = workers.watch(GRACE).expect_err("the worker failed");
        assert_eq!(error.to_string(), "the broker is gone");
    }
}
