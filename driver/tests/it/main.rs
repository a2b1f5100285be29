//! The driver against brokers: the broker in the process, a real RabbitMQ, and Python peers on it.
//!
//! `rpc::scenario` has the tests that must pass on every broker and runs them on both kinds; the
//! other modules test what only one kind of broker can show.
#![expect(clippy::disallowed_methods, reason = "tests of real brokers need the real clock")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod config;
mod dialects;
mod faults;
mod functional;
mod interop;
mod notify;
mod observe;
mod recovery;
mod rpc;
mod support;
