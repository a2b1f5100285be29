//! Scheduling delays: how long threads of the fleet waited for a CPU. The client is not to blame
//! for that part of a late answer.
//!
//! The kernel counts for each thread the time that it was runnable and did not run; a thread here
//! reads that regularly. Invariant: the time that a thread sleeps, waits for locks or computes does
//! not count. Not here: which requests it excuses (`verdict`).

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Result;

use super::stream::WorkerNumber;
use crate::system::lock::lock;
use crate::system::sys;

/// Interval between two readings: as long as a call may be late.
const READ_EVERY: Duration = Duration::from_millis(50);
/// Shorter delays are not recorded.
const NOTED_US: u64 = 1_000;
/// Number of threads of a client that a reply passes: the one of the shard, and the one that waits.
const THREADS_IN_A_ROW: usize = 2;

/// The delay of a process's threads between two readings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SchedulingDelay {
    pub(super) from_us: u64,
    pub(super) to_us: u64,
    pub(super) waited_us: u64,
}

/// Delays by process, in the order of time.
pub(super) type SchedulingDelays = HashMap<WorkerNumber, Vec<SchedulingDelay>>;

/// The thread that reads the delays.
pub(super) struct DelayMonitor {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    pids: Mutex<BTreeMap<WorkerNumber, u32>>,
    seen: Mutex<SchedulingDelays>,
    is_over: AtomicBool,
}

impl DelayMonitor {
    pub(super) fn start() -> Result<Self> {
        let shared = Arc::<Shared>::default();
        let own = Arc::clone(&shared);
        let read = move || {
            let mut readings = HashMap::new();
            while !own.is_over.load(Ordering::Relaxed) {
                own.read(&mut readings);
                std::thread::sleep(READ_EVERY);
            }
        };
        let thread = std::thread::Builder::new().name("delay".to_owned()).spawn(read)?;
        Ok(Self { shared, thread })
    }

    /// Watches these processes from now on, and no others.
    pub(super) fn watch(&self, pids: BTreeMap<WorkerNumber, u32>) {
        *lock(&self.shared.pids) = pids;
    }

    /// Stops the thread; returns the recorded delays.
    pub(super) fn stop(self) -> SchedulingDelays {
        self.shared.is_over.store(true, Ordering::Relaxed);
        // The thread does not panic.
        let _ = self.thread.join();
        std::mem::take(&mut *lock(&self.shared.seen))
    }
}

/// A reading of a process: its time, and the total delay of each thread in nanoseconds.
type Reading = (u64, HashMap<u32, u64>);

impl Shared {
    fn read(&self, readings: &mut HashMap<WorkerNumber, Reading>) {
        let pids = lock(&self.pids).clone();
        readings.retain(|worker, _| pids.contains_key(worker));
        for (worker, pid) in pids {
            let now = (sys::monotonic_us(), waits(pid));
            if let Some(delay) = readings.get(&worker).and_then(|before| between(before, &now)) {
                lock(&self.seen).entry(worker).or_default().push(delay);
            }
            readings.insert(worker, now);
        }
    }
}

/// The longest delay of two threads, one after the other, between two readings.
fn between((from_us, before): &Reading, (to_us, now): &Reading) -> Option<SchedulingDelay> {
    let waited = |(tid, ns): (&u32, &u64)| Some(ns.saturating_sub(*before.get(tid)?));
    let mut waited: Vec<u64> = now.iter().filter_map(waited).collect();
    waited.sort_unstable();
    let waited_us = waited.iter().rev().take(THREADS_IN_A_ROW).sum::<u64>() / 1000;
    let delay = SchedulingDelay { from_us: *from_us, to_us: *to_us, waited_us };
    (waited_us >= NOTED_US).then_some(delay)
}

/// Nanoseconds that each thread of a process was runnable and did not run.
fn waits(pid: u32) -> HashMap<u32, u64> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return HashMap::new() };
    let waited = |task: fs::DirEntry| {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        let ns = text.split_whitespace().nth(1)?.parse().ok()?;
        Some((task.file_name().to_str()?.parse().ok()?, ns))
    };
    tasks.filter_map(|task| waited(task.ok()?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_threads_wait_one_after_the_other() {
        let reading = |at_us, waits: &[(u32, u64)]| (at_us, waits.iter().copied().collect());
        let before = reading(10, &[(1, 0), (2, 5_000_000), (3, 0)]);
        let now = reading(60, &[(1, 2_000_000), (2, 8_000_000), (3, 4_000_000), (4, 90_000_000)]);
        let delay = between(&before, &now).expect("they waited");
        assert_eq!(delay, SchedulingDelay { from_us: 10, to_us: 60, waited_us: 7_000 });
        assert_eq!(between(&now, &now), None);
    }

    #[test]
    fn this_process_has_threads_that_may_have_waited() {
        let own = waits(std::process::id());
        assert!(own.is_empty() || own.contains_key(&std::process::id()), "{own:?}");
    }
}
