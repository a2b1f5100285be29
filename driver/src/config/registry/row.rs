//! One option of the registry, and the bounds that many options have.

use crate::config::registry::value::Kind;

/// Name, kind, and what it is for.
pub(crate) type Row = (&'static str, Kind, &'static str);

pub(crate) const MAX: u64 = i32::MAX as u64;
/// Seconds without a bound of their own.
pub(crate) const LONG: f64 = 1e9;
