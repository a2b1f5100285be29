//! Limits how often events that a broker causes are logged.
//!
//! Without a limit, a broker could fill a disk with warnings. Invariant: of each kind of event a
//! connection logs a burst and then one per second; the next logged event reports how many were
//! suppressed.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// Events logged at once. A broker that stops cancels several consumers.
const BURST: u32 = 10;
/// After a burst, one event per interval is logged.
const INTERVAL: Duration = Duration::from_secs(1);

/// The limits of one connection, by kind of event.
#[derive(Debug, Default)]
pub(crate) struct LogLimits {
    pub(crate) blocked: LogLimit,
    pub(crate) cancelled: LogLimit,
    pub(crate) channel_closed: LogLimit,
    pub(crate) returned: LogLimit,
    pub(crate) unblocked: LogLimit,
}

/// The limit of one kind of event (a leaky bucket).
#[derive(Debug, Default)]
pub(crate) struct LogLimit {
    /// Events in the bucket.
    logged: Cell<u32>,
    /// When the bucket last leaked an event.
    since: Cell<Option<Instant>>,
    suppressed: Cell<u64>,
}

impl LogLimit {
    /// Returns `None` if the event must not be logged, otherwise the number of events suppressed
    /// since the last logged one.
    pub(crate) fn admit(&self, now: Instant) -> Option<u64> {
        let since = self.since.get().unwrap_or(now);
        let passed = now.saturating_duration_since(since).as_secs();
        let logged = u64::from(self.logged.get()).saturating_sub(passed) as u32;
        let since = if logged == 0 { now } else { since + INTERVAL * passed as u32 };
        self.since.set(Some(since));
        if logged >= BURST {
            self.logged.set(logged);
            self.suppressed.set(self.suppressed.get() + 1);
            return None;
        }
        self.logged.set(logged + 1);
        Some(self.suppressed.replace(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_logged_and_then_one_a_second() {
        let (limit, start) = (LogLimit::default(), Instant::now());
        let admitted = |at: Duration, count: u32| {
            (0..count).filter_map(|_| limit.admit(start + at)).collect::<Vec<_>>()
        };
        assert_eq!(admitted(Duration::ZERO, 1000), [0; BURST as usize]);
        assert_eq!(admitted(Duration::from_millis(999), 10), [0; 0]);
        assert_eq!(admitted(Duration::from_millis(1000), 10), [1000 - u64::from(BURST) + 10]);
        assert_eq!(admitted(Duration::from_millis(1900), 5), [0; 0]);
        assert_eq!(admitted(Duration::from_millis(2000), 1), [9 + 5]);
        assert_eq!(admitted(Duration::from_secs(100_000_000_000), 20).len(), BURST as usize);
    }
}
