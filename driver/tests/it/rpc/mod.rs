//! Calls, casts and servers.

mod access;
mod attribute;
mod bad_input;
mod bad_peer;
mod budgets;
mod close;
mod deadlines;
mod expiry;
mod hosted;
mod life;
mod openings;
mod panics;
mod scenario;
mod serialized;
mod tokio_service;
