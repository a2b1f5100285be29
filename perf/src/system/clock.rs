//! The only module of the perf tool that asks the clock.
//!
//! Measuring needs a monotonic clock, simulator messages carry wall time. Not here: sleeping,
//! deadlines.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The present instant of the monotonic clock.
#[expect(clippy::disallowed_methods, reason = "a measuring tool must ask the clock somewhere")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Seconds since the epoch, as the simulator's messages carry them.
pub(crate) fn wall_seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
