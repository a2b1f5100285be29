//! Percentiles from histograms, and how many messages they rest on: pure functions.

use crate::results::metrics::is_stable;

/// A point of a percentile curve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Point {
    /// Share of the messages that took at most `us`; always below 1.
    pub(crate) quantile: f64,
    pub(crate) us: f64,
    /// Whether enough messages lie above.
    pub(crate) is_stable: bool,
}

/// The curve of a histogram of nanoseconds, whose values ascend. The slowest message stands where
/// half of it lies above.
pub(crate) fn curve(histogram: &[(u64, u64)]) -> Vec<Point> {
    let count: u64 = histogram.iter().map(|(_, count)| count).sum();
    let mut at_most = 0;
    let mut points = Vec::with_capacity(histogram.len());
    for (ns, number) in histogram.iter().filter(|(_, number)| *number > 0) {
        at_most += number;
        let share = at_most as f64 / count as f64;
        let quantile = share.min(1.0 - 0.5 / count as f64);
        points.push(Point {
            quantile,
            us: *ns as f64 / 1000.0,
            is_stable: is_stable(quantile, count),
        });
    }
    points
}

/// Where a quantile stands on an axis on which every nine takes the same room: 0.9 at 1, 0.99 at 2.
pub(crate) fn nines(quantile: f64) -> f64 {
    -(1.0 - quantile).log10()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_ascends_to_the_slowest_message() {
        let points = curve(&[(1000, 50), (2000, 40), (3000, 0), (9000, 9), (50_000, 1)]);
        let shares: Vec<f64> = points.iter().map(|point| point.quantile).collect();
        assert_eq!(shares, [0.5, 0.9, 0.99, 0.995]);
        let latencies: Vec<f64> = points.iter().map(|point| point.us).collect();
        assert_eq!(latencies, [1.0, 2.0, 9.0, 50.0]);
        let stable: Vec<bool> = points.iter().map(|point| point.is_stable).collect();
        assert_eq!(stable, [true, true, false, false]);
        assert!(curve(&[]).is_empty());
    }

    #[test]
    fn every_nine_takes_the_same_room() {
        for (quantile, place) in [(0.0, 0.0), (0.9, 1.0), (0.99, 2.0), (0.999, 3.0)] {
            assert!((nines(quantile) - place).abs() < 1e-9, "{quantile}");
        }
    }
}
