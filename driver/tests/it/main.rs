//! The driver against brokers: the one in the process, a real RabbitMQ, and Python peers on it.
//!
//! `rpc::scenario` holds what must hold on every broker and is run on both kinds; the other modules
//! ask for what only one of them can show.
#![expect(clippy::disallowed_methods, reason = "tests of the world outside need its clock")]
#![expect(clippy::unwrap_used, reason = "a failed test needs no kinder words")]

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
