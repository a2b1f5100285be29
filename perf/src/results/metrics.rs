//! Percentiles and typical runs: pure functions over records.

use hdrhistogram::Histogram;

use crate::results::run::{Latency, Run};
use crate::results::statistics::median;

/// Messages that must lie above a percentile; with fewer it is chance.
const ABOVE_MIN: f64 = 10.0;

/// Whether enough messages of `count` lie above this quantile to state it.
pub(crate) fn is_stable(quantile: f64, count: u64) -> bool {
    // The product of 10,000 and 0.001 is a little below ten.
    (1.0 - quantile) * count as f64 >= ABOVE_MIN - 1e-6
}

/// The percentiles of a histogram of nanoseconds; none if it is empty.
pub(crate) fn latency(histogram: &Histogram<u64>) -> Latency {
    if histogram.is_empty() {
        return Latency::default();
    }
    let us = |quantile: f64| Some(histogram.value_at_quantile(quantile) as f64 / 1000.0);
    Latency {
        p50: us(0.5),
        p90: us(0.9),
        p99: us(0.99),
        p999: us(0.999),
        max: Some(histogram.max() as f64 / 1000.0),
    }
}

/// The typical run of a subject in a workload: the median of each figure. Its histogram is the sum
/// of all, its series the first run's.
pub(crate) fn typical(runs: &[&Run]) -> Option<Run> {
    let first = *runs.first()?;
    let of = |figure: &dyn Fn(&Run) -> Option<f64>| {
        median(&runs.iter().filter_map(|run| figure(run)).collect::<Vec<_>>())
    };
    let percentiles = |which: &dyn Fn(&Run) -> Option<Latency>| Latency {
        p50: of(&|run| which(run)?.p50),
        p90: of(&|run| which(run)?.p90),
        p99: of(&|run| which(run)?.p99),
        p999: of(&|run| which(run)?.p999),
        max: of(&|run| which(run)?.max),
    };
    Some(Run {
        errors: runs.iter().map(|run| run.errors).sum(),
        rate_per_s: of(&|run| Some(run.rate_per_s))?,
        offered_per_s: of(&|run| run.offered_per_s),
        client_cpu_us_per_msg: of(&|run| run.client_cpu_us_per_msg),
        server_cpu_us_per_msg: of(&|run| run.server_cpu_us_per_msg),
        broker_cpu_us_per_msg: of(&|run| run.broker_cpu_us_per_msg),
        allocations_per_msg: of(&|run| run.allocations_per_msg),
        syscalls_per_msg: of(&|run| run.syscalls_per_msg),
        latency_us: percentiles(&|run| Some(run.latency_us)),
        memory_kib: of(&|run| run.memory_kib.map(|kib| kib as f64)).map(|kib| kib as u64),
        wakeups_per_s: of(&|run| run.wakeups_per_s),
        service_us: first.service_us.map(|_| percentiles(&|run| run.service_us)),
        histogram: sum_of(runs.iter().map(|run| run.histogram.as_slice())),
        ..first.clone()
    })
}

/// Adds histograms, value by value.
pub(crate) fn sum_of<'a>(histograms: impl Iterator<Item = &'a [(u64, u64)]>) -> Vec<(u64, u64)> {
    let mut all: Vec<(u64, u64)> = histograms.flatten().copied().collect();
    all.sort_unstable();
    all.dedup_by(|later, earlier| {
        let is_same = later.0 == earlier.0;
        if is_same {
            earlier.1 += later.1;
        }
        is_same
    });
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::comparing::tests::run;

    #[test]
    fn a_percentile_needs_ten_messages_above_it() {
        assert!(is_stable(0.999, 10_000) && !is_stable(0.999, 9_999));
        assert!(is_stable(0.99, 1000) && !is_stable(0.99, 999));
        assert!(is_stable(0.5, 20) && !is_stable(0.5, 0));
    }

    #[test]
    fn the_typical_run_has_the_median_of_each_figure() {
        let histogram = vec![(5, 1), (9, 2)];
        let runs = [
            Run { histogram: histogram.clone(), ..run("w", "a", 3.0, Some(1.0)) },
            Run { histogram: vec![(9, 1)], ..run("w", "a", 1.0, None) },
            run("w", "a", 2.0, None),
        ];
        let typical = typical(&runs.iter().collect::<Vec<_>>()).expect("three runs");
        assert_eq!((typical.rate_per_s, typical.latency_us.p50), (2.0, Some(1.0)));
        assert_eq!(typical.histogram, [(5, 1), (9, 3)]);
        assert_eq!(super::typical(&[]), None);
    }

    #[test]
    fn percentiles_are_microseconds() {
        let mut histogram = Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("bounds");
        assert_eq!(latency(&histogram), Latency::default());
        for us in 1..=1000_u64 {
            histogram.saturating_record(us * 1000);
        }
        let latency = latency(&histogram);
        assert!((latency.p50.expect("not empty") - 500.0).abs() < 1.0);
        assert!((latency.max.expect("not empty") - 1000.0).abs() < 1.0);
    }
}
