//! Leveret itself: its engine in the `engine-*` workloads, its driver in all others.
//!
//! It is measured with its defaults, and in other configurations (`variant`). Everything goes
//! through the public API, as a user's program would. Not here: internals, shortcuts for
//! benchmarks.

mod driver;
mod engine;
mod hosted;
pub(crate) mod subject;
pub(crate) mod variant;
