//! Memory, threads and descriptors of a process of the fleet, as the kernel reports them.

use std::fs;

use serde::{Deserialize, Serialize};

/// A reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ProcessUsage {
    pub(super) rss_kib: u64,
    pub(super) threads: u64,
    pub(super) descriptors: u64,
}

/// A process may grow by half of its warm size and by this: stacks of threads, and memory that the
/// allocator keeps after a backlog.
const GROWTH_KIB: u64 = 32 << 10;

impl ProcessUsage {
    /// Reads a process that runs.
    pub(super) fn of(pid: u32) -> Option<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let field = |name: &str| -> Option<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim_start_matches(':').split_whitespace().next()?.parse().ok()
        };
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count() as u64;
        Some(Self { rss_kib: field("VmRSS")?, threads: field("Threads")?, descriptors })
    }

    /// Whether the process has grown more than it may since it was warm.
    pub(super) const fn has_grown_since(&self, warm: &Self) -> bool {
        self.rss_kib > warm.rss_kib + warm.rss_kib / 2 + GROWTH_KIB
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_a_thread_and_descriptors() {
        let usage = ProcessUsage::of(std::process::id()).expect("it runs");
        assert!(usage.rss_kib > 100 && usage.threads > 0 && usage.descriptors > 2, "{usage:?}");
    }

    #[test]
    fn a_little_growth_is_none() {
        let of = |rss_kib| ProcessUsage { rss_kib, ..ProcessUsage::default() };
        assert!(!of(61_440 + GROWTH_KIB).has_grown_since(&of(40_960)));
        assert!(of(61_441 + GROWTH_KIB).has_grown_since(&of(40_960)));
    }
}
