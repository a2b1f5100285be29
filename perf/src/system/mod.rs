//! What this process and its children are to the operating system: allocations, clocks, CPU time,
//! signals, child processes.

pub(crate) mod alloc;
pub(crate) mod child_process;
pub(crate) mod clock;
pub(crate) mod sys;
pub(crate) mod usage;
