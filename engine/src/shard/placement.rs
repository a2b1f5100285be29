//! Pins the thread of a shard to a core, if the configuration asks for it and the process may use
//! the core.

use std::io;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Lets this thread run on its earlier cores again when it is dropped.
pub(crate) struct PinnedThread(CpuSet);

impl PinnedThread {
    /// Pins this thread to one core of the allowed set, for as long as the result lives.
    pub(crate) fn to(core: usize) -> io::Result<Self> {
        let allowed = sched_getaffinity(None)?;
        pin(core)?;
        Ok(Self(allowed))
    }
}

impl Drop for PinnedThread {
    fn drop(&mut self) {
        // An error means that the process may use none of these cores any more.
        let _ = sched_setaffinity(None, &self.0);
    }
}

/// Pins this thread to one core of the allowed set (affinity mask, cgroup cpuset).
pub(super) fn pin(core: usize) -> io::Result<()> {
    let allowed = sched_getaffinity(None)?;
    if core >= CpuSet::MAX_CPU || !allowed.is_set(core) {
        let cores: Vec<String> =
            (0..CpuSet::MAX_CPU).filter(|&c| allowed.is_set(c)).map(|c| c.to_string()).collect();
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("core {core} is not among those this process may use: {}", cores.join(", ")),
        ));
    }
    let mut only = CpuSet::new();
    only.set(core);
    Ok(sched_setaffinity(None, &only)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_pinned_inside_the_allowed_set_only() {
        let allowed = sched_getaffinity(None).unwrap();
        let core = (0..CpuSet::MAX_CPU).find(|&core| allowed.is_set(core)).unwrap();
        std::thread::spawn(move || {
            pin(core).unwrap();
            assert_eq!(sched_getaffinity(None).unwrap().count(), 1);
        })
        .join()
        .unwrap();
        std::thread::spawn(move || {
            let pinned = PinnedThread::to(core).unwrap();
            assert_eq!(sched_getaffinity(None).unwrap().count(), 1);
            drop(pinned);
            assert_eq!(sched_getaffinity(None).unwrap(), allowed);
        })
        .join()
        .unwrap();
        let error = pin(CpuSet::MAX_CPU + 1).unwrap_err();
        assert!(error.to_string().contains("may use"), "{error}");
    }
}
