//! How long threads of the fleet waited for a processor: what of a late answer is the machine's
//! doing, and not its client's.
//!
//! The kernel counts for each thread the time that it could run and did not. A thread of ours reads
//! that now and then. Invariant: time that a process sleeps, waits for locks or computes is none
//! of this. Not here: whom it excuses (`verdict`).

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Result;

use super::stream::WorkerNumber;
use crate::system::sys;

/// Between two readings: as long as a call may be late.
const READ_EVERY: Duration = Duration::from_millis(50);
/// What is less is not worth a note.
const NOTED_US: u64 = 1_000;
/// An answer passes as many threads of its client: the one that reads the socket or keeps the time,
/// and the one that waits.
const THREADS_IN_A_ROW: usize = 2;

/// Threads of a process waited so long between two readings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SchedulingDelay {
    pub(super) from_us: u64,
    pub(super) to_us: u64,
    pub(super) waited_us: u64,
}

/// By the process.
pub(super) type SchedulingDelays = HashMap<WorkerNumber, Vec<SchedulingDelay>>;

/// A thread that reads.
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

    /// From now on it watches these processes and no others.
    pub(super) fn watch(&self, pids: BTreeMap<WorkerNumber, u32>) {
        *lock(&self.shared.pids) = pids;
    }

    /// What it has seen.
    pub(super) fn stop(self) -> SchedulingDelays {
        self.shared.is_over.store(true, Ordering::Relaxed);
        // It does not panic.
        let _ = self.thread.join();
        std::mem::take(&mut *lock(&self.shared.seen))
    }
}

/// The last reading of a process: when, and how long each of its threads had waited by then.
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

/// What threads that follow one another waited at most between two readings.
fn between((from_us, before): &Reading, (to_us, now): &Reading) -> Option<SchedulingDelay> {
    let waited = |(tid, ns): (&u32, &u64)| Some(ns.saturating_sub(*before.get(tid)?));
    let mut waited: Vec<u64> = now.iter().filter_map(waited).collect();
    waited.sort_unstable();
    let waited_us = waited.iter().rev().take(THREADS_IN_A_ROW).sum::<u64>() / 1000;
    let delay = SchedulingDelay { from_us: *from_us, to_us: *to_us, waited_us };
    (waited_us >= NOTED_US).then_some(delay)
}

/// Nanoseconds that each thread of a process could have run and did not.
fn waits(pid: u32) -> HashMap<u32, u64> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return HashMap::new() };
    let waited = |task: fs::DirEntry| {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        let ns = text.split_whitespace().nth(1)?.parse().ok()?;
        Some((task.file_name().to_str()?.parse().ok()?, ns))
    };
    tasks.filter_map(|task| waited(task.ok()?)).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
