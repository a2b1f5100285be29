//! System calls without a safe form in std and rustix: CPU clocks of threads, syscall counters,
//! signals.
//!
//! Every function returns a value or an error. Not here: which threads are counted (`usage`).
#![expect(
    unsafe_code,
    reason = "perf_event_open, thread clocks and signals exist only as raw calls"
)]

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::FromRawFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// Where tracefs is mounted, on systems that mount it.
const TRACEFS: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// `struct perf_event_attr`, first published size (64 bytes); the kernel fills the rest with
/// zeroes.
#[repr(C)]
#[derive(Default)]
struct PerfEventAttr {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_events: u32,
    bp_type: u32,
    bp_addr: u64,
}

const PERF_TYPE_TRACEPOINT: u32 = 2;
/// Children of the thread are counted as well.
const FLAG_INHERIT: u64 = 1 << 1;

/// CPU time of this process so far, in nanoseconds.
pub(crate) fn process_cpu_ns() -> u64 {
    clock_ns(libc::CLOCK_PROCESS_CPUTIME_ID).unwrap_or(0)
}

/// CPU time of one thread of this process so far, in nanoseconds; `None` once it has ended.
pub(crate) fn thread_cpu_ns(tid: i32) -> Option<u64> {
    // The kernel's encoding of "scheduler clock of this one thread" (MAKE_THREAD_CPUCLOCK).
    clock_ns((!tid << 3) | 6)
}

/// Microseconds of the monotonic clock, which all processes of the machine share.
pub(crate) fn monotonic_us() -> u64 {
    clock_ns(libc::CLOCK_MONOTONIC).unwrap_or(0) / 1000
}

/// Asks the kernel to wake this thread when its sleep ends, not up to 50 us later.
pub(crate) fn wake_precisely() {
    // SAFETY: the call takes no pointer; 1 is the timer slack of this thread in nanoseconds.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1_u64) };
}

fn clock_ns(clock: libc::clockid_t) -> Option<u64> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one timespec through the pointer, which is valid for the call.
    let done = unsafe { libc::clock_gettime(clock, &raw mut time) };
    (done == 0).then(|| time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs())
}

/// Counts the system calls of one thread and of its children, from its creation on.
pub(crate) struct SyscallCounter {
    counter: File,
}

impl SyscallCounter {
    /// Starts counting. Fails where tracefs is not readable or performance events are not allowed.
    pub(crate) fn start(tid: i32, tracepoint: u64) -> io::Result<Self> {
        let attr = PerfEventAttr {
            kind: PERF_TYPE_TRACEPOINT,
            size: size_of::<PerfEventAttr>() as u32,
            config: tracepoint,
            flags: FLAG_INHERIT,
            ..PerfEventAttr::default()
        };
        // SAFETY: `attr` is valid for the call and its `size` is the structure's own; -1 means any
        // CPU, and no group leader.
        let fd =
            unsafe { libc::syscall(libc::SYS_perf_event_open, &raw const attr, tid, -1, -1, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just made this descriptor for us and it has no other owner.
        Ok(Self { counter: unsafe { File::from_raw_fd(fd as i32) } })
    }

    /// System calls since `start`.
    pub(crate) fn read(&self) -> io::Result<u64> {
        let mut value = [0; 8];
        (&self.counter).read_exact(&mut value)?;
        Ok(u64::from_ne_bytes(value))
    }
}

/// Id of the tracepoint of all system calls; `None` if tracefs cannot be read.
pub(crate) fn syscall_tracepoint() -> Option<u64> {
    TRACEFS.iter().find_map(|root| {
        let id = std::fs::read_to_string(format!("{root}/events/raw_syscalls/sys_enter/id"));
        id.ok()?.trim().parse().ok()
    })
}

/// A line for root that says how to make system calls countable; `None` for other users, or if
/// tracefs is mounted.
pub(crate) fn how_to_count_syscalls() -> Option<String> {
    let is_mounted = TRACEFS.iter().any(|root| Path::new(root).join("events").is_dir());
    tracefs_hint(rustix::process::geteuid().is_root(), is_mounted)
}

fn tracefs_hint(is_root: bool, is_mounted: bool) -> Option<String> {
    let mount = format!("mount -t tracefs nodev {}", TRACEFS[0]);
    (is_root && !is_mounted).then(|| format!("sys/msg is counted where tracefs is: {mount}"))
}

static ASKED_TO_STOP: AtomicBool = AtomicBool::new(false);

extern "C" fn note_signal(_signal: libc::c_int) {
    ASKED_TO_STOP.store(true, Ordering::Relaxed);
}

/// Installs handlers: SIGINT and SIGTERM no longer end the process, but make [`asked_to_stop`]
/// true.
pub(crate) fn note_signals() {
    for signal in [libc::SIGINT, libc::SIGTERM] {
        let handler: extern "C" fn(libc::c_int) = note_signal;
        // SAFETY: the handler only stores to an atomic, which is safe inside a signal handler.
        unsafe { libc::signal(signal, handler as libc::sighandler_t) };
    }
}

/// Whether the process has received SIGINT or SIGTERM.
pub(crate) fn asked_to_stop() -> bool {
    ASKED_TO_STOP.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_has_its_own_clock_inside_the_process_clock() {
        let tid = rustix::thread::gettid().as_raw_nonzero().get();
        let mut sum = 0_u64;
        for n in 0..2_000_000_u64 {
            sum = sum.wrapping_add(std::hint::black_box(n));
        }
        std::hint::black_box(sum);
        let mine = thread_cpu_ns(tid).expect("this thread runs");
        assert!(mine > 0 && mine <= process_cpu_ns());
    }

    #[test]
    fn only_root_is_told_to_mount_what_is_missing() {
        let hint = tracefs_hint(true, false).expect("root can do something");
        assert!(hint.ends_with("mount -t tracefs nodev /sys/kernel/tracing"), "{hint}");
        assert_eq!((tracefs_hint(true, true), tracefs_hint(false, false)), (None, None));
    }

    #[test]
    fn a_thread_that_does_not_exist_has_no_clock() {
        // Above the kernel's largest possible process id (PID_MAX_LIMIT).
        assert_eq!(thread_cpu_ns(4_194_305), None);
    }
}
