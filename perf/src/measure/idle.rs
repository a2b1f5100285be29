//! What open transports cost that do nothing: memory, threads, and how often they wake up.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::measure::protocol::{Sample, Window};
use crate::measure::window::Mark;
use crate::subject::job::{Job, Subject};
use crate::system::clock;

/// Measures idle transports. Memory is what each has added to the process.
pub(crate) fn measure(
    subject: &dyn Subject,
    job: &Job,
    window: Window,
    mut mark: impl FnMut(Mark),
) -> Result<Sample> {
    let before = status_kib("VmRSS").context("no memory figures in /proc/self/status")?;
    let open = subject.open_idle(job)?;
    std::thread::sleep(Duration::from_secs_f64(window.warmup_s));
    let memory = status_kib("VmRSS").context("it was there before")?.saturating_sub(before);
    mark(Mark::Begins);
    let (start, switched) = (clock::now(), switches());
    std::thread::sleep(Duration::from_secs_f64(window.seconds));
    let seconds = (clock::now() - start).as_secs_f64();
    let woken = switches().saturating_sub(switched);
    mark(Mark::Ends);
    let threads = threads();
    drop(open);
    Ok(Sample {
        seconds,
        threads,
        memory_kib: Some(memory / job.workload.transports as u64),
        wakeups_per_s: Some(woken as f64 / seconds),
        backend: subject.backend(),
        ..Sample::default()
    })
}

fn status_kib(name: &str) -> Option<u64> {
    field(&fs::read_to_string("/proc/self/status").ok()?, name)
}

/// The first number of a line of `/proc/<pid>/status`.
fn field(status: &str, name: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    value.split_whitespace().next()?.parse().ok()
}

fn tasks() -> impl Iterator<Item = fs::DirEntry> {
    fs::read_dir("/proc/self/task").into_iter().flatten().flatten()
}

/// Threads of this process, but for the one that measures.
fn threads() -> usize {
    tasks().count().saturating_sub(1)
}

/// How often the threads of this process, but for this one, have gone to sleep so far.
fn switches() -> u64 {
    let own = rustix::thread::gettid().as_raw_nonzero().to_string();
    let others = tasks().filter(|task| task.file_name().to_str() != Some(own.as_str()));
    others
        .filter_map(|task| {
            let status = fs::read_to_string(task.path().join("status")).ok()?;
            field(&status, "voluntary_ctxt_switches")
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_a_status_are_numbers() {
        let status = "Name:\tx\nVmRSS:\t  123 kB\nvoluntary_ctxt_switches:\t7\n";
        assert_eq!(field(status, "VmRSS"), Some(123));
        assert_eq!(field(status, "voluntary_ctxt_switches"), Some(7));
        assert_eq!(field(status, "Vm"), None);
        assert!(status_kib("VmRSS").expect("this process has memory") > 0);
    }
}
