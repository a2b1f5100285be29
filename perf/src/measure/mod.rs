//! A measured process: what it is told, how it measures a window, what it reports.
//!
//! Clients and servers of a subject run in processes of their own, so that their CPU time,
//! allocations and system calls are theirs alone. Not here: which windows are measured, and what is
//! made of them (`suite/`, `results/`).

pub(crate) mod histogram;
mod idle;
pub(crate) mod process;
pub(crate) mod protocol;
pub(crate) mod window;
