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

/// What a worker thread counts with.
pub(crate) struct Probe {
    phase: Arc<AtomicU8>,
    counts: Arc<WorkerCounts>,
    done: u64,
    errors: u64,
    latency: Histogram<u64>,
}

impl Probe {
    /// Whether the worker should go on. Cheap enough for every message.
    pub(crate) fn running(&self) -> bool {
        self.phase.load(Relaxed) != Phase::Done as u8
    }

    /// Counts `n` finished messages.
    pub(crate) fn done(&mut self, n: u64) {
        self.done += n;
        self.counts.done.store(self.done, Relaxed);
    }

    /// Counts `n` failed messages.
    pub(crate) fn failed(&mut self, n: u64) {
        self.errors += n;
        self.counts.errors.store(self.errors, Relaxed);
    }

    /// Records the latency of one operation, in the measured phase only.
    pub(crate) fn latency(&mut self, start: Instant, end: Instant) {
        if self.phase.load(Relaxed) == Phase::Measured as u8 {
            let ns = u64::try_from((end - start).as_nanos()).unwrap_or(LATENCY_MAX_NS);
            self.latency.saturating_record(ns);
        }
    }
}

/// What a worker reports when it ends.
struct WorkerReport {
    result: Result<()>,
    latency: Histogram<u64>,
    began: Instant,
    ended: Instant,
}

/// Totals of a run.
pub(crate) struct RunTotals {
    /// Latencies of all workers.
    pub(crate) latency: Histogram<u64>,
    /// Messages finished and failed, since the start of the run.
    pub(crate) counts: (u64, u64),
    /// From the first worker's start until the last one returned.
    pub(crate) took: Duration,
}

/// The worker threads of one run.
pub(crate) struct Workers {
    phase: Arc<AtomicU8>,
    counts_of_workers: Vec<Arc<WorkerCounts>>,
    reports: Receiver<WorkerReport>,
    report: Sender<WorkerReport>,
    ended: usize,
}

impl Workers {
    /// No workers yet, in the warm-up phase.
    pub(crate) fn new() -> Self {
        let (report, reports) = channel();
        let phase = Arc::new(AtomicU8::new(Phase::Warmup as u8));
        Self { phase, counts_of_workers: Vec::new(), reports, report, ended: 0 }
    }

    /// Starts a worker thread, which works until [`Probe::running`] returns false.
    pub(crate) fn spawn<F>(&mut self, name: &str, work: F) -> Result<()>
    where
        F: FnOnce(&mut Probe) -> Result<()> + Send + 'static,
    {
        let counts = Arc::new(WorkerCounts::default());
        self.counts_of_workers.push(Arc::clone(&counts));
        let latency = empty_histogram();
        let mut probe =
            Probe { phase: Arc::clone(&self.phase), counts, done: 0, errors: 0, latency };
        let report = self.report.clone();
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                let began = clock::now();
                let result = work(&mut probe);
                let (latency, ended) = (probe.latency, clock::now());
                // This fails after the runner has given up on the worker.
                let _ = report.send(WorkerReport { result, latency, began, ended });
            })
            .context("a worker thread does not start")?;
        Ok(())
    }

    /// Enters a phase.
    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Relaxed);
    }

    /// Messages finished and failed so far.
    pub(crate) fn counts(&self) -> (u64, u64) {
        self.counts_of_workers.iter().fold((0, 0), |(done, errors), counts| {
            (done + counts.done.load(Relaxed), errors + counts.errors.load(Relaxed))
        })
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
        let mut latency = empty_histogram();
        let mut span: Option<(Instant, Instant)> = None;
        while self.ended < self.counts_of_workers.len() {
            let left = deadline.saturating_duration_since(clock::now());
            let ended_worker = self
                .reports
                .recv_timeout(left)
                .map_err(|_| anyhow!("a worker did not stop within {grace:?}"))?;
            self.ended += 1;
            ended_worker.result?;
            latency.add(&ended_worker.latency).context("histograms have one shape")?;
            let (began, ended) = span.unwrap_or((ended_worker.began, ended_worker.ended));
            span = Some((began.min(ended_worker.began), ended.max(ended_worker.ended)));
        }
        let took = span.map_or(Duration::ZERO, |(began, ended)| ended - began);
        Ok(RunTotals { latency, counts: self.counts(), took })
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
        assert!(finished.latency.is_empty());
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
                while probe.phase.load(Relaxed) != Phase::Measured as u8 {
                    std::thread::yield_now();
                }
                probe.latency(start, start + Duration::from_micros(250));
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
        let latency = workers.finish(GRACE).expect("returns").latency;
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
