//! A histogram of latencies, accurate to 5 % from 1 µs to 1 min, on atomic counters.
//!
//! The buckets are log-linear: they are equally wide between two coarse bounds and grow from one
//! coarse bound to the next, so memory is bounded. They are our own because `hdrhistogram` records
//! through `&mut self`, and its `SyncHistogram` through a recorder for each thread; here all
//! threads that call record into one histogram. Invariant: an observation is one addition to one
//! bucket and one to the sum, without lock or allocation. A reader may see the one before the
//! other.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The coarse bounds, in nanoseconds: 1, 2.5 and 5 of each decade, and what timeouts are.
const COARSE_NS: [u64; 24] = [
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
    30_000_000_000,
    60_000_000_000,
];
/// Coarse bounds below 100 µs, which [`LatencyHistogram::buckets`] leaves out.
const HIDDEN: usize = 6;
/// A bucket is as wide as the coarse bound below it divided by this: an error of 5 % at most.
const STEPS: u64 = 20;
const SEGMENTS: usize = COARSE_NS.len() - 1;
/// Number of the bucket that ends at each coarse bound. The first bucket ends at 1 µs.
const COARSE_BUCKET: [usize; COARSE_NS.len()] = {
    let mut ends = [0; COARSE_NS.len()];
    let mut segment = 0;
    while segment < SEGMENTS {
        let span = COARSE_NS[segment + 1] - COARSE_NS[segment];
        ends[segment + 1] = ends[segment] + (span / step_ns(segment)) as usize;
        segment += 1;
    }
    ends
};
/// One for what is longer than the last bound.
const BUCKETS: usize = COARSE_BUCKET[SEGMENTS] + 2;

/// Width of the buckets above a coarse bound.
const fn step_ns(segment: usize) -> u64 {
    COARSE_NS[segment] / STEPS
}

/// The bucket of a latency.
fn bucket_of(ns: u64) -> usize {
    match COARSE_NS.partition_point(|bound| *bound < ns) {
        0 => 0,
        above if above > SEGMENTS => BUCKETS - 1,
        above => {
            let segment = above - 1;
            let further = (ns - COARSE_NS[segment]).div_ceil(step_ns(segment));
            COARSE_BUCKET[segment] + further as usize
        }
    }
}

/// The upper bound of a bucket, included; none for the last.
fn bound_of(bucket: usize) -> Option<Duration> {
    let above = COARSE_BUCKET.partition_point(|end| *end < bucket);
    let ns = match above {
        0 => COARSE_NS[0],
        above if above > SEGMENTS => return None,
        above => {
            let segment = above - 1;
            COARSE_NS[segment] + (bucket - COARSE_BUCKET[segment]) as u64 * step_ns(segment)
        }
    };
    Some(Duration::from_nanos(ns))
}

/// The live buckets.
#[derive(Debug)]
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
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct LatencyHistogram {
    counts: [u64; BUCKETS],
    sum: Duration,
}

impl Default for Latencies {
    fn default() -> Self {
        Self { buckets: [const { AtomicU64::new(0) }; BUCKETS], sum_ns: AtomicU64::new(0) }
    }
}

impl Latencies {
    /// Records one latency.
    pub(crate) fn observe(&self, latency: Duration) {
        let ns = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.buckets[bucket_of(ns)].fetch_add(1, Ordering::Relaxed);
        self.sum_ns.fetch_add(ns, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> LatencyHistogram {
        LatencyHistogram {
            counts: std::array::from_fn(|index| self.buckets[index].load(Ordering::Relaxed)),
            sum: Duration::from_nanos(self.sum_ns.load(Ordering::Relaxed)),
        }
    }
}

impl LatencyHistogram {
    /// Coarse buckets from the fastest to the slowest, 18 from 100 µs to 1 min and one beyond: an
    /// upper bound, included, and the number of latencies above the bound before it; the last has
    /// no bound. Quantiles are finer than these: see [`quantile`](Self::quantile).
    pub fn buckets(&self) -> impl Iterator<Item = (Option<Duration>, u64)> {
        let ends = COARSE_BUCKET[HIDDEN..].iter().copied().chain([BUCKETS - 1]);
        let mut next = 0;
        ends.map(move |end| {
            let count = self.counts[next..=end].iter().sum();
            next = end + 1;
            (bound_of(end), count)
        })
    }

    /// Number of all latencies.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// All latencies together.
    pub const fn sum(&self) -> Duration {
        self.sum
    }

    /// The latency that this share of all latencies does not exceed (0.5 is the median): at most
    /// 5 % above the true value from 1 µs to 1 min, and never below it; 1 µs for what is shorter.
    /// `None` if there were no latencies, or if the value exceeds 1 min.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let rank = (self.count() as f64 * share.clamp(0.0, 1.0)).ceil().max(1.0) as u64;
        let mut seen = 0;
        let bucket = self.counts.iter().position(|count| {
            seen += count;
            seen >= rank
        });
        bucket.and_then(bound_of)
    }
}

impl Default for LatencyHistogram {
    fn default() -> Self {
        Self { counts: [0; BUCKETS], sum: Duration::ZERO }
    }
}

impl fmt::Debug for LatencyHistogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quantiles = [0.5, 0.99, 1.0].map(|share| self.quantile(share));
        f.debug_struct("LatencyHistogram")
            .field("count", &self.count())
            .field("sum", &self.sum)
            .field("p50, p99, max", &quantiles)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn quantiles(latency: Duration) -> [Option<Duration>; 2] {
        let live = Latencies::default();
        live.observe(latency);
        [0.0, 1.0].map(|share| live.read().quantile(share))
    }

    #[test]
    fn coarse_bounds_are_included_and_in_order() {
        let live = Latencies::default();
        for us in [0, 100, 101, 60_000_000, 60_000_001] {
            live.observe(Duration::from_micros(us));
        }
        let read = live.read();
        let (bounds, counts): (Vec<_>, Vec<_>) = read.buckets().unzip();
        assert_eq!(bounds.len(), 19);
        assert!(bounds[..18].is_sorted_by(|a, b| a < b));
        assert_eq!((bounds[0], bounds[17]), (Some(Duration::from_micros(100)), Some(MINUTE)));
        assert_eq!(bounds[18], None);
        assert_eq!((counts[0], counts[1], counts[17], counts[18]), (2, 1, 1, 1));
        assert_eq!((read.count(), read.sum()), (5, Duration::from_micros(120_000_202)));
    }

    #[test]
    fn coarse_buckets_are_exact_around_each_bound() {
        for (index, bound) in COARSE_NS.iter().enumerate() {
            for (ns, further) in [(bound - 1, 0), (*bound, 0), (bound + 1, 1)] {
                let live = Latencies::default();
                live.observe(Duration::from_nanos(ns));
                let found = live.read().buckets().position(|(_, count)| count == 1);
                assert_eq!(found, Some((index + further).saturating_sub(HIDDEN)), "{ns}");
            }
        }
    }

    #[test]
    fn every_bucket_ends_at_its_bound_and_begins_above_that_of_the_one_before() {
        let bounds: Vec<u64> =
            (0..BUCKETS - 1).map(|bucket| bound_of(bucket).unwrap().as_nanos() as u64).collect();
        assert!(bounds.is_sorted_by(|a, b| a < b));
        for (bucket, bound) in bounds.iter().enumerate() {
            assert_eq!((bucket_of(*bound), bucket_of(bound + 1)), (bucket, bucket + 1));
        }
        assert_eq!(bound_of(BUCKETS - 1), None);
    }

    #[test]
    fn a_quantile_is_at_most_five_percent_above_the_latency_and_never_below() {
        let mut latency = Duration::from_micros(1);
        while latency <= MINUTE {
            for quantile in quantiles(latency) {
                let quantile = quantile.expect("not beyond the last bound");
                let error = quantile.as_secs_f64() / latency.as_secs_f64() - 1.0;
                assert!(quantile >= latency && error <= 0.05, "{latency:?}: {quantile:?}");
            }
            latency = latency.mul_f64(1.000_7) + Duration::from_nanos(1);
        }
    }

    proptest::proptest! {
        #[test]
        fn quantiles_of_many_latencies_are_as_accurate(
            latencies in proptest::collection::vec(1_000..=60_000_000_000_u64, 1..200),
            share in 0.0..=1.0_f64,
        ) {
            let live = Latencies::default();
            latencies.iter().for_each(|ns| live.observe(Duration::from_nanos(*ns)));
            let mut sorted = latencies;
            sorted.sort_unstable();
            let rank = (sorted.len() as f64 * share).ceil().max(1.0) as usize;
            let (exact, found) = (sorted[rank - 1], live.read().quantile(share).unwrap());
            let found = found.as_nanos() as u64;
            proptest::prop_assert!(found >= exact && found - exact <= exact / STEPS + 1);
        }
    }

    #[test]
    fn what_is_shorter_than_the_first_bound_and_longer_than_the_last_is_counted() {
        let shortest = Some(Duration::from_micros(1));
        for ns in [0, 1, 999, 1_000] {
            assert_eq!(quantiles(Duration::from_nanos(ns)), [shortest; 2]);
        }
        assert_eq!(quantiles(MINUTE), [Some(MINUTE); 2]);
        for longer in [MINUTE + Duration::from_nanos(1), Duration::from_secs(90), Duration::MAX] {
            assert_eq!(quantiles(longer), [None; 2]);
        }
    }

    #[test]
    fn quantiles_are_bounds_of_buckets() {
        let live = Latencies::default();
        assert_eq!(live.read().quantile(0.5), None);
        (0..99).for_each(|_| live.observe(Duration::from_micros(301)));
        live.observe(Duration::from_secs(90));
        let read = live.read();
        assert_eq!(read.quantile(0.0), Some(Duration::from_nanos(312_500)));
        assert_eq!(read.quantile(0.99), Some(Duration::from_nanos(312_500)));
        assert_eq!(read.quantile(1.0), None, "beyond the last bound");
    }

    #[test]
    fn memory_is_bounded() {
        assert_eq!(BUCKETS, 552);
        assert!(size_of::<Latencies>() <= 4_500);
    }
}
