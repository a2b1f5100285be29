//! Integration tests of the engine with a real broker and scripted peers: one binary, one module
//! per topic.
#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]
#![allow(clippy::disallowed_methods, reason = "tests may ask the clock")]

mod attach;
mod audit;
mod badinput;
mod closing;
mod denied;
mod flow;
mod log;
mod numbers;
mod oversized;
mod panics;
mod peer;
mod persistence;
mod publish;
mod recovery;
mod refusals;
mod reporting;
mod resolving;
mod setup;
mod stale;
mod unanswered;
