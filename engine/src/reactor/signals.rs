//! Signals, which a program handles on threads of its own choice.

use nix::sys::signal::{SigSet, Signal};

/// Signals that concern the thread they are sent to: faults, traps, and the timers of profilers.
const OF_THREADS: [Signal; 8] = [
    Signal::SIGABRT,
    Signal::SIGBUS,
    Signal::SIGFPE,
    Signal::SIGILL,
    Signal::SIGPROF,
    Signal::SIGSEGV,
    Signal::SIGSYS,
    Signal::SIGTRAP,
];

/// Blocks the signals of the process in this thread, so that the kernel delivers them to others.
/// Threads of the engine do this when they start: no handler runs on a shard, and no system call of
/// a shard is interrupted. Programs that this thread starts begin without blocked signals, as with
/// [`std::process::Command`].
pub fn block_signals() {
    let mut signals = SigSet::all();
    OF_THREADS.into_iter().for_each(|signal| signals.remove(signal));
    // Fails for an invalid argument only.
    let _ = signals.thread_block();
}
