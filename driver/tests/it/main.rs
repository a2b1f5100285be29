//! The driver against brokers: the one in the process, a real RabbitMQ, and Python peers on it.
//!
//! `scenario` holds what must hold on every broker and is run on both kinds; the other modules ask
//! for what only one of them can show.
#![expect(clippy::disallowed_methods, reason = "tests of the world outside need its clock")]
#![expect(clippy::unwrap_used, reason = "a failed test needs no kinder words")]

mod access;
mod at_most_once;
mod attribute;
mod bad_input;
mod bad_peer;
mod budgets;
mod close;
mod conflicts;
mod credentials;
mod cuts;
mod deadlines;
mod dialects;
mod dialects_edges;
mod expiry;
mod factories;
mod faults;
mod functional;
mod lazy;
mod life;
mod notify;
mod notify_failing;
mod notify_python;
mod observe;
mod old_python;
mod openings;
mod options;
mod oslo_metrics;
mod panics;
mod permissions;
mod pika_bad_input;
mod pika_client;
mod pika_notify;
mod pika_server;
mod python_client;
mod python_config;
mod python_server;
mod recovery;
mod refused_replies;
mod reply_path;
mod retry;
mod scenario;
mod serialized;
mod service;
mod tokio_service;
mod world;
