//! What the programs need of the operating system: allocations, clocks, CPU time, locks, signals,
//! child processes.

pub(crate) mod alloc;
pub(crate) mod child_process;
pub(crate) mod clock;
pub(crate) mod lock;
pub(crate) mod processes;
pub(crate) mod sys;
pub(crate) mod usage;
