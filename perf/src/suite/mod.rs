//! The suites: which windows are measured, in which order, and in which surroundings.

mod broker;
mod broker_usage;
pub(crate) mod command;
mod fixture;
mod invocation;
mod machine;
mod member;
mod order;
mod progress;
mod runner;
mod session;
mod steal;
