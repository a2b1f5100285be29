//! What the client threads of this process have used: CPU time, allocations, system calls.
//!
//! The meter leaves out the threads of in-process peers, by their names, and the measuring thread,
//! by its id. Invariant: an excluded thread that ends keeps its last figures, so the difference of
//! two readings never contains it. Not here: windows and phases (`measure::window`).

use std::collections::HashMap;
use std::fs;

use crate::system::{alloc, sys};

/// Prefixes of the names of threads that belong to in-process peers, not to the client.
const PEER_THREADS: [&str; 3] = ["loopback", "sink", "source"];

/// One reading; differences between two of them are what a run used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// CPU time of client threads, in nanoseconds.
    pub(crate) cpu_ns: u64,
    /// Allocations and reallocations of client threads.
    pub(crate) allocations: u64,
}

impl Usage {
    /// What was used between `earlier` and this reading.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            cpu_ns: self.cpu_ns.saturating_sub(earlier.cpu_ns),
            allocations: self.allocations.saturating_sub(earlier.allocations),
        }
    }
}

/// Reads what client threads have used. It stays on the thread that made it.
pub(crate) struct Meter {
    own_tid: i32,
    left_out: HashMap<i32, Usage>,
}

impl Meter {
    /// A meter that leaves out the calling thread and all peer threads.
    pub(crate) fn new() -> Self {
        Self { own_tid: rustix::thread::gettid().as_raw_nonzero().get(), left_out: HashMap::new() }
    }

    /// CPU time and allocations of client threads so far.
    pub(crate) fn read(&mut self) -> Usage {
        for tid in self.left_out_now() {
            let last = self.left_out.entry(tid).or_default();
            last.cpu_ns = sys::thread_cpu_ns(tid).unwrap_or(last.cpu_ns);
            last.allocations = alloc::of_thread(tid);
        }
        let out = self.left_out.values().fold(Usage::default(), |sum, one| Usage {
            cpu_ns: sum.cpu_ns + one.cpu_ns,
            allocations: sum.allocations + one.allocations,
        });
        Usage { cpu_ns: sys::process_cpu_ns(), allocations: alloc::total() }.since(out)
    }

    /// Starts to count the system calls of every client thread that runs now; `None` if the kernel
    /// denies it.
    pub(crate) fn count_syscalls(&self) -> Option<SyscallCount> {
        let tracepoint = sys::syscall_tracepoint()?;
        let mut counters = Vec::new();
        for (tid, name) in threads() {
            if !self.leaves_out(tid, &name) {
                counters.push(sys::SyscallCounter::start(tid, tracepoint).ok()?);
            }
        }
        Some(SyscallCount { counters })
    }

    fn left_out_now(&self) -> Vec<i32> {
        threads()
            .into_iter()
            .filter(|(tid, name)| self.leaves_out(*tid, name))
            .map(|(tid, _)| tid)
            .collect()
    }

    fn leaves_out(&self, tid: i32, name: &str) -> bool {
        tid == self.own_tid || PEER_THREADS.iter().any(|prefix| name.starts_with(prefix))
    }
}

/// A running count of the system calls of a set of threads.
pub(crate) struct SyscallCount {
    counters: Vec<sys::SyscallCounter>,
}

impl SyscallCount {
    /// System calls since counting started.
    pub(crate) fn read(&self) -> Option<u64> {
        self.counters.iter().map(|counter| counter.read().ok()).sum()
    }
}

/// CPU time of the threads of in-process peers so far, in nanoseconds.
pub(crate) fn peer_threads_cpu_ns() -> u64 {
    let is_peer = |name: &String| PEER_THREADS.iter().any(|prefix| name.starts_with(prefix));
    let peers = threads().into_iter().filter(|(_, name)| is_peer(name));
    peers.filter_map(|(tid, _)| sys::thread_cpu_ns(tid)).sum()
}

/// Kernel id and name of every thread of this process.
fn threads() -> Vec<(i32, String)> {
    let Ok(entries) = fs::read_dir("/proc/self/task") else { return Vec::new() };
    entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let tid = entry.file_name().to_str()?.parse().ok()?;
            let name = fs::read_to_string(entry.path().join("comm")).ok()?;
            Some((tid, name.trim_end().to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn spend(name: &str) -> Usage {
        let mut meter = Meter::new();
        let before = meter.read();
        let (done, wait) = mpsc::channel();
        let (release, hold) = mpsc::channel::<()>();
        let worker = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            for n in 0..20_000_usize {
                std::hint::black_box(vec![n; 8]);
            }
            done.send(()).expect("the test waits");
            let _ = hold.recv();
        });
        wait.recv().expect("the thread reports");
        let used = meter.read().since(before);
        drop(release);
        worker.expect("the thread starts").join().expect("the thread ends");
        used
    }

    #[test]
    fn client_threads_count_and_peer_threads_do_not() {
        let client = spend("client-0");
        assert!(client.allocations >= 20_000, "{client:?}");
        let peer = spend("sink-0");
        // Other tests of this binary may run beside this one, so the bound is generous.
        assert!(peer.allocations < client.allocations, "{peer:?}");
    }

    #[test]
    fn every_thread_is_listed_with_its_name() {
        let own = rustix::thread::gettid().as_raw_nonzero().get();
        assert!(threads().iter().any(|(tid, _)| *tid == own));
    }
}
