//! Histograms as plain data: pairs of a value in nanoseconds and how many had it.

use hdrhistogram::Histogram;

/// Pairs of a value and its count, values rising.
pub(crate) type Buckets = Vec<(u64, u64)>;

/// Longer latencies count as this: two minutes.
const VALUE_MAX: u64 = 120_000_000_000;

/// Bits of a value that are kept: values are right within one percent.
const BITS: u32 = 7;

/// The values that a histogram holds, rounded up to seven significant bits.
pub(crate) fn buckets(histogram: &Histogram<u64>) -> Buckets {
    let mut found = Buckets::new();
    for value in histogram.iter_recorded() {
        let rounded = rounded_up(value.value_iterated_to());
        match found.last_mut() {
            Some((last, count)) if *last == rounded => *count += value.count_at_value(),
            _ => found.push((rounded, value.count_at_value())),
        }
    }
    found
}

/// A histogram of such pairs.
pub(crate) fn histogram(buckets: &[(u64, u64)]) -> Histogram<u64> {
    let mut histogram = Histogram::new_with_bounds(1, VALUE_MAX, 3).expect("valid bounds");
    for (value, count) in buckets {
        histogram.saturating_record_n(*value, *count);
    }
    histogram
}

fn rounded_up(value: u64) -> u64 {
    let shift = (u64::BITS - value.leading_zeros()).saturating_sub(BITS);
    match value >> shift << shift {
        whole if whole == value => value,
        below => below + (1 << shift),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_kept_within_one_percent() {
        let mut original = Histogram::new(3).expect("valid");
        for us in 1..=1000_u64 {
            original.record(us * 1000).expect("it grows");
        }
        let buckets = buckets(&original);
        assert!(buckets.len() < 600, "{}", buckets.len());
        assert_eq!(buckets.iter().map(|(_, count)| count).sum::<u64>(), 1000);
        let read = histogram(&buckets);
        for quantile in [0.5, 0.9, 0.99, 1.0] {
            let (was, is) =
                (original.value_at_quantile(quantile), read.value_at_quantile(quantile));
            assert!((is as f64 / was as f64 - 1.0).abs() < 0.02, "{quantile}: {was} {is}");
        }
    }

    #[test]
    fn small_values_are_exact() {
        for value in 0..256 {
            assert!(rounded_up(value) == value || value > 127, "{value}");
        }
        assert_eq!(rounded_up(257), 260);
        assert!(histogram(&[]).is_empty());
    }
}
