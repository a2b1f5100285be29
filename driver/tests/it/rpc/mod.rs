//! Calls, casts and servers.

mod access;
mod attribute;
pub(crate) mod bad_input;
mod bad_peer;
mod budgets;
mod close;
mod deadlines;
mod expiry;
mod life;
mod openings;
mod panics;
pub(crate) mod scenario;
mod serialized;
mod tokio_service;
