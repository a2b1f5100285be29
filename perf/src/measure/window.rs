//! Measures one window of workers that are running.
//!
//! A window has three phases: warm-up, the measured one, and a short one that counts system calls,
//! because counting slows them. In a workload that waits for nothing, buffers of the kernel and of
//! the client may hold the messages of a second; its rate is therefore that of the whole run, from
//! the first message until the receiver has processed the last one and answered the close behind
//! it. Invariant: a window ends, whatever the broker does: no progress for [`STALL_TIMEOUT`] is an
//! error.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::load::workers::{Latencies, Phase, STEP, Workers};
use crate::measure::histogram::buckets;
use crate::measure::protocol::{Sample, Window};
use crate::subject::job::DRAIN_TIMEOUT;
use crate::system::clock;
use crate::system::usage::Meter;
use crate::workload::workload::Workload;

/// Time without a message after which the broker counts as dead.
const STALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for workers to end: the timeout of their last operation, and then the time of the receiver
/// to process all messages.
const STOP_TIMEOUT: Duration = Duration::from_secs(15).saturating_add(DRAIN_TIMEOUT);
/// Interval between two checks of the progress.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Begin or end of the measured phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    Begins,
    Ends,
}

/// Measures a window, and tells `mark` when its measured phase begins and ends.
pub(crate) fn measure(
    workload: &Workload,
    window: Window,
    mut workers: Workers,
    mut mark: impl FnMut(Mark),
) -> Result<Sample> {
    let [warmup, measured, counted] =
        [window.warmup_s, window.seconds, window.count_s].map(Duration::from_secs_f64);
    pass(&mut workers, warmup)?;
    until_first(&mut workers)?;

    let mut meter = Meter::new();
    let before = workers.counts();
    let used_before = meter.read();
    let start = clock::now();
    mark(Mark::Begins);
    workers.enter(Phase::Measured);
    let mut steps = in_steps(&mut workers, start, measured)?;
    workers.enter(Phase::SyscallCount);
    let seconds = (clock::now() - start).as_secs_f64();
    mark(Mark::Ends);
    let used = meter.read().since(used_before);
    let now = workers.counts();
    let (done, failed) = (now.0 - before.0, now.1 - before.1);
    if done == 0 {
        bail!("no message got through in {seconds:.1} s");
    }
    let between = done - steps.iter().sum::<u64>();
    if let Some(last) = steps.last_mut() {
        // Finished after the last step was counted.
        *last += between;
    }
    let (is_ours, threads) = (!workload.is_beside_flood(), workers.len());
    let syscalls_per_msg = syscalls(&meter, &mut workers, counted)?.filter(|_| is_ours);
    let totals = workers.finish(STOP_TIMEOUT)?;
    let ((messages, errors), seconds) = match workload.is_handed_over() {
        true => (totals.counts, totals.took.as_secs_f64()),
        false => ((done, failed), seconds),
    };
    let Latencies { total, service, longest } = totals.latencies;
    let longest_us = |ns: &u64| (*ns > 0).then(|| *ns as f64 / 1000.0);
    Ok(Sample {
        messages,
        errors,
        seconds,
        counted: Some(done),
        cpu_us: is_ours.then_some(used.cpu_ns as f64 / 1000.0),
        allocations: is_ours.then_some(used.allocations),
        syscalls_per_msg,
        histogram: buckets(&total),
        service: (!service.is_empty()).then(|| buckets(&service)),
        step_ms: STEP.as_millis() as u64,
        max_us: longest.iter().take(steps.len()).map(longest_us).collect(),
        steps,
        threads,
        ..Sample::default()
    })
}

/// Lets the measured phase pass, and returns the messages finished in each step of it.
fn in_steps(workers: &mut Workers, start: Instant, measured: Duration) -> Result<Vec<u64>> {
    let mut steps = Vec::new();
    let mut last = workers.counts().0;
    let mut end = Duration::ZERO;
    while end < measured {
        end = (end + STEP).min(measured);
        let left = (start + end).saturating_duration_since(clock::now());
        pass(workers, left)?;
        let done = workers.counts().0;
        steps.push(done - last);
        last = done;
    }
    Ok(steps)
}

/// System calls per message, over a phase of their own.
fn syscalls(meter: &Meter, workers: &mut Workers, phase: Duration) -> Result<Option<f64>> {
    if phase.is_zero() {
        return Ok(None);
    }
    let Some(count) = meter.count_syscalls() else { return Ok(None) };
    let (done_before, calls_before) = (workers.counts().0, count.read());
    pass(workers, phase)?;
    let (done, calls) = (workers.counts().0, count.read());
    let messages = done - done_before;
    let calls = calls.zip(calls_before).map(|(now, before)| now - before);
    Ok(calls.filter(|_| messages > 0).map(|calls| calls as f64 / messages as f64))
}

/// Waits for `time`, or fails without progress.
fn pass(workers: &mut Workers, time: Duration) -> Result<()> {
    let end = clock::now() + time;
    loop {
        let now = clock::now();
        let left = end.saturating_duration_since(now);
        if left.is_zero() {
            return Ok(());
        }
        workers.watch(left.min(POLL_INTERVAL))?;
        if workers.still_for() > STALL_TIMEOUT {
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

    const WINDOW: Window = Window { warmup_s: 0.05, seconds: 0.25, count_s: 0.0 };

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
        let mut marks = Vec::new();
        let workload = "call-1".parse().expect("in the catalogue");
        let sample = measure(&workload, WINDOW, workers, |mark| marks.push(mark)).expect("works");
        assert_eq!(marks, [Mark::Begins, Mark::Ends]);
        assert!(sample.messages > 0 && sample.seconds >= 0.25, "{sample:?}");
        assert!(sample.histogram[0].0 >= 100_000, "nanoseconds: {:?}", sample.histogram);
        assert_eq!(sample.steps.len(), 3, "100, 100 and 50 ms");
        assert_eq!(sample.steps.iter().sum::<u64>(), sample.messages);
        assert!(sample.max_us[0].expect("there were some") >= 100.0);
        assert_eq!(sample.service, None, "a closed loop");
    }

    #[test]
    fn a_window_without_a_message_is_an_error() {
        let mut workers = Workers::new();
        let work = |probe: &mut crate::load::workers::Probe| {
            probe.done(1);
            while probe.running() {
                std::thread::sleep(Duration::from_millis(1));
            }
            Ok(())
        };
        workers.spawn("worker", work).expect("threads start");
        let workload = "call-1".parse().expect("in the catalogue");
        let error = measure(&workload, WINDOW, workers, |_| {}).expect_err("nothing was done");
        assert!(error.to_string().contains("no message got through"), "{error}");
    }
}
