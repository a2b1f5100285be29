//! The perf suite: workloads by subjects, interleaved in pairs.
//!
//! `command` turns the command line into a plan and the finished runs into reports; `runner` runs
//! the plan. `fixture` prepares what a run needs on the broker, with servers in processes of their
//! own (`server_process`). `machine` describes what the runs ran on.

pub(crate) mod command;
mod fixture;
pub(crate) mod machine;
mod progress;
mod runner;
pub(crate) mod server_process;
