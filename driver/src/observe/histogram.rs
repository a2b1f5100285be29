//! A histogram of latencies with fixed buckets: counters without a lock.
//!
//! Invariant: an observation is one addition to one bucket and one to the sum; whoever reads may
//! see the one before the other.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The upper bounds of all buckets but the last, in microseconds. Half a decade fine where calls
/// on a local network are, coarse where timeouts are.
const BOUNDS_US: [u64; 18] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 5_000_000, 10_000_000, 30_000_000, 60_000_000,
];
const BUCKETS: usize = BOUNDS_US.len() + 1;

/// The live buckets.
#[derive(Debug, Default)]
pub(crate) struct Latencies {
    buckets: [AtomicU64; BUCKETS],
    sum_ns: AtomicU64,
}

/// A reading of a histogram of latencies.
///
/// ```
/// use leveret::Transport;
///
/// # fn main() -> Result<(), leveret::Error> {
/// let transport = Transport::connect_blocking("fake://")?;
/// let latency = transport.metrics().calls.latency;
/// for (bound, count) in latency.buckets() {
///     println!("{count} calls up to {bound:?}");
/// }
/// assert_eq!(latency.quantile(0.99), None, "no call was made");
/// transport.close_blocking()
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LatencyHistogram {
    counts: [u64; BUCKETS],
    sum: Duration,
}

impl Latencies {
    /// Takes in one latency.
    pub(crate) fn observe(&self, latency: Duration) {
        let us = latency.as_micros();
        let bucket = BOUNDS_US.partition_point(|bound| u128::from(*bound) < us);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_ns.fetch_add(latency.as_nanos() as u64, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> LatencyHistogram {
        LatencyHistogram {
            counts: std::array::from_fn(|index| self.buckets[index].load(Ordering::Relaxed)),
            sum: Duration::from_nanos(self.sum_ns.load(Ordering::Relaxed)),
        }
    }
}

impl LatencyHistogram {
    /// The buckets from the fastest to the slowest: an upper bound, included, and how many were
    /// above the bound before it; the last has no bound.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<Duration>, u64)> {
        let bounds = BOUNDS_US.iter().map(|us| Some(Duration::from_micros(*us)));
        bounds.chain([None]).zip(self.counts)
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// All of them together.
    pub const fn sum(&self) -> Duration {
        self.sum
    }

    /// A bound below or at which this share of them lies (0.5 is the median); none if there were
    /// none, or if it lies beyond the last bound, 60 s.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let rank = (self.count() as f64 * share.clamp(0.0, 1.0)).ceil().max(1.0) as u64;
        let mut seen = 0;
        let found = self.buckets().find(|(_, count)| {
            seen += count;
            seen >= rank
        });
        found.and_then(|(bound, _)| bound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_included_and_in_order() {
        assert!(BOUNDS_US.is_sorted_by(|a, b| a < b));
        let live = Latencies::default();
        for us in [0, 100, 101, 60_000_000, 60_000_001] {
            live.observe(Duration::from_micros(us));
        }
        let read = live.read();
        let counts: Vec<_> = read.buckets().map(|(_, count)| count).collect();
        assert_eq!((counts[0], counts[1], counts[17], counts[18]), (2, 1, 1, 1));
        assert_eq!((read.count(), read.sum()), (5, Duration::from_micros(120_000_202)));
    }

    #[test]
    fn quantiles_are_bounds_of_buckets() {
        let live = Latencies::default();
        assert_eq!(live.read().quantile(0.5), None);
        (0..99).for_each(|_| live.observe(Duration::from_micros(300)));
        live.observe(Duration::from_secs(90));
        let read = live.read();
        assert_eq!(read.quantile(0.0), Some(Duration::from_micros(500)));
        assert_eq!(read.quantile(0.99), Some(Duration::from_micros(500)));
        assert_eq!(read.quantile(1.0), None, "beyond the last bound");
    }
}
