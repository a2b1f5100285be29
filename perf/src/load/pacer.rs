//! The open loop: operations begin when they are due, whether earlier ones have ended or not.
//!
//! The schedule does not wait for the system under test, so a stall shows in the latency of every
//! operation that was due meanwhile, instead of vanishing because nothing was started ("coordinated
//! omission"). An operation that is late begins as soon as it can, and none is skipped.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use futures_util::stream::{FuturesUnordered, Stream};

use crate::load::workers::Probe;
use crate::system::{clock, sys};

/// Operations under way at once; while there are as many, none begins.
const UNDER_WAY_MAX: usize = 20_000;
/// Longest sleep between two looks at whether the run is over.
const NAP: Duration = Duration::from_millis(20);

/// When the n-th operation of a steady rate is due.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    begin: Instant,
    per_second: f64,
}

impl Schedule {
    /// A schedule that begins now.
    pub(crate) fn new(begin: Instant, per_second: f64) -> Self {
        Self { begin, per_second }
    }

    /// When operation `n` is due.
    pub(crate) fn due(&self, n: u64) -> Instant {
        self.begin + Duration::from_secs_f64(n as f64 / self.per_second)
    }
}

/// Performs operations as they are due until the run is over, and then waits for those under way.
pub(crate) fn run<F, E>(per_second: f64, probe: &mut Probe, operation: F) -> Result<()>
where
    F: AsyncFn() -> Result<(), E>,
{
    // Otherwise the kernel wakes a sleeper up to 50 us late.
    sys::wake_precisely();
    let schedule = Schedule::new(clock::now(), per_second);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut under_way = FuturesUnordered::new();
    let (mut next, mut is_over) = (0, false);
    while !(is_over && under_way.is_empty()) {
        is_over = is_over || !probe.running();
        let mut due = schedule.due(next);
        while !is_over && due <= clock::now() && under_way.len() < UNDER_WAY_MAX {
            under_way.push(timed(due, operation()));
            next += 1;
            due = schedule.due(next);
        }
        match poll(&mut under_way, &mut context) {
            Poll::Ready(ended) => ended.count(probe),
            Poll::Pending => {
                let nap = due.saturating_duration_since(clock::now()).min(NAP);
                let is_waiting = nap.is_zero() && (is_over || under_way.len() >= UNDER_WAY_MAX);
                std::thread::park_timeout(if is_waiting { NAP } else { nap });
            }
        }
    }
    Ok(())
}

/// An operation that has ended.
struct Ended {
    due: Instant,
    start: Instant,
    end: Instant,
    is_done: bool,
}

impl Ended {
    fn count(&self, probe: &mut Probe) {
        probe.due_latency(self.due, self.start, self.end);
        if self.is_done { probe.done(1) } else { probe.failed(1) }
    }
}

async fn timed<E>(due: Instant, operation: impl Future<Output = Result<(), E>>) -> Ended {
    let start = clock::now();
    let is_done = operation.await.is_ok();
    Ended { due, start, end: clock::now(), is_done }
}

fn poll<F: Future<Output = Ended>>(
    under_way: &mut FuturesUnordered<F>,
    context: &mut Context<'_>,
) -> Poll<Ended> {
    let under_way: Pin<&mut FuturesUnordered<F>> = pin!(under_way);
    match under_way.poll_next(context) {
        Poll::Ready(Some(ended)) => Poll::Ready(ended),
        Poll::Ready(None) | Poll::Pending => Poll::Pending,
    }
}

/// Wakes the thread that performs the operations.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::load::workers::{Phase, Workers};

    #[test]
    fn operations_are_due_at_a_steady_rate() {
        let begin = clock::now();
        let schedule = Schedule::new(begin, 200.0);
        assert_eq!(schedule.due(0), begin);
        assert_eq!(schedule.due(1) - begin, Duration::from_millis(5));
        assert_eq!(schedule.due(2_000_000) - begin, Duration::from_secs(10_000));
    }

    /// One operation blocks the thread for a tenth of a second: all that were due meanwhile are
    /// late, and their latency says so.
    #[test]
    fn a_stall_shows_in_every_operation_that_was_due_meanwhile() {
        let mut workers = Workers::new();
        let work = |probe: &mut Probe| {
            let stalled = Cell::new(false);
            run(1000.0, probe, async || {
                if !stalled.replace(true) {
                    std::thread::sleep(Duration::from_millis(100));
                }
                Ok::<_, ()>(())
            })
        };
        workers.enter(Phase::Measured);
        workers.spawn("paced", work).expect("threads start");
        while workers.counts().0 < 150 {
            workers.watch(Duration::from_millis(1)).expect("it goes on");
        }
        let totals = workers.finish(Duration::from_secs(5)).expect("it ends");
        let latencies = totals.latencies.total;
        let late = latencies.count_between(40_000_000, u64::MAX);
        assert!((40..=110).contains(&late), "{late} waited more than 40 ms");
        let slow = totals.latencies.service.count_between(40_000_000, u64::MAX);
        assert_eq!(slow, 1, "only one took long by itself");
    }
}
