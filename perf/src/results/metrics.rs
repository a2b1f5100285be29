//! Percentiles, medians and ratios: pure functions over records.
//!
//! Invariant: a ratio compares runs of the same pair only. A figure that either run lacks has no
//! ratio.

use hdrhistogram::Histogram;

use crate::results::sample::{Latency, Ratio, Run, Spread};

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

/// The median; the mean of the middle two values if their number is even.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        n if n % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

/// Ratios of `subject` to every other subject, workload by workload, in the order of the runs.
///
/// The n-th run of a subject in a workload belongs to the n-th pair.
pub(crate) fn ratios(runs: &[Run], subject: &str) -> Vec<Ratio> {
    let mut found: Vec<Ratio> = Vec::new();
    for other in runs.iter().filter(|run| run.subject != subject) {
        let (workload, against) = (&other.workload, &other.subject);
        if found.iter().any(|ratio| ratio.workload == *workload && ratio.against == *against) {
            continue;
        }
        let of = |name: &str| {
            let name = name.to_owned();
            runs.iter().filter(move |run| run.workload == *workload && run.subject == name)
        };
        let pairs: Vec<(&Run, &Run)> = of(subject).zip(of(against)).collect();
        if pairs.is_empty() {
            continue;
        }
        let (rate, rate_spread) = ratio_of(&pairs, |run| Some(run.rate_per_s));
        let (cpu, cpu_spread) = ratio_of(&pairs, |run| run.client_cpu_us_per_msg);
        let (p50, p50_spread) = ratio_of(&pairs, |run| run.latency_us.p50);
        let (p999, p999_spread) = ratio_of(&pairs, |run| run.latency_us.p999);
        found.push(Ratio {
            workload: workload.clone(),
            subject: subject.to_owned(),
            against: against.clone(),
            rate,
            cpu,
            p50,
            p999,
            pairs: pairs.len(),
            spread: Spread {
                rate: rate_spread,
                cpu: cpu_spread,
                p50: p50_spread,
                p999: p999_spread,
            },
        });
    }
    found
}

/// Median and extremes of one figure's ratio over all pairs.
fn ratio_of(
    pairs: &[(&Run, &Run)],
    figure: impl Fn(&Run) -> Option<f64>,
) -> (Option<f64>, Option<(f64, f64)>) {
    let values: Vec<f64> = pairs
        .iter()
        .filter_map(|(ours, theirs)| {
            let (ours, theirs) = (figure(ours)?, figure(theirs)?);
            (theirs > 0.0).then(|| ours / theirs)
        })
        .collect();
    let extremes = values.iter().copied().fold(None, |seen: Option<(f64, f64)>, value| {
        let (low, high) = seen.unwrap_or((value, value));
        Some((low.min(value), high.max(value)))
    });
    (median(&values), extremes)
}

/// The typical run of a subject in a workload: the median of each figure.
pub(crate) fn typical(runs: &[&Run]) -> Option<Run> {
    let first = *runs.first()?;
    let of = |figure: &dyn Fn(&Run) -> Option<f64>| {
        median(&runs.iter().filter_map(|run| figure(run)).collect::<Vec<_>>())
    };
    Some(Run {
        errors: runs.iter().map(|run| run.errors).sum(),
        rate_per_s: of(&|run| Some(run.rate_per_s))?,
        client_cpu_us_per_msg: of(&|run| run.client_cpu_us_per_msg),
        allocations_per_msg: of(&|run| run.allocations_per_msg),
        syscalls_per_msg: of(&|run| run.syscalls_per_msg),
        latency_us: Latency {
            p50: of(&|run| run.latency_us.p50),
            p90: of(&|run| run.latency_us.p90),
            p99: of(&|run| run.latency_us.p99),
            p999: of(&|run| run.latency_us.p999),
            max: of(&|run| run.latency_us.max),
        },
        ..first.clone()
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A run with a rate and a median latency, and nothing else.
    pub(crate) fn run(workload: &str, subject: &str, rate: f64, p50: Option<f64>) -> Run {
        Run {
            workload: workload.to_owned(),
            subject: subject.to_owned(),
            backend: None,
            dialect: None,
            payload_bytes: 200,
            threads: 1,
            outstanding: None,
            messages: rate as u64,
            errors: 0,
            seconds: 1.0,
            rate_per_s: rate,
            client_cpu_us_per_msg: None,
            allocations_per_msg: None,
            syscalls_per_msg: None,
            latency_us: Latency { p50, ..Latency::default() },
        }
    }

    #[test]
    fn medians_of_odd_even_and_none() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn ratios_pair_the_runs_in_their_order() {
        let runs = [
            run("w", "leveret", 90.0, Some(10.0)),
            run("w", "raw", 100.0, Some(10.0)),
            run("w", "leveret", 50.0, None),
            run("w", "raw", 200.0, Some(10.0)),
            run("w", "leveret", 80.0, Some(30.0)),
            run("w", "raw", 100.0, Some(10.0)),
        ];
        let ratios = ratios(&runs, "leveret");
        assert_eq!(ratios.len(), 1);
        let ratio = &ratios[0];
        assert_eq!((ratio.against.as_str(), ratio.pairs), ("raw", 3));
        assert_eq!((ratio.rate, ratio.spread.rate), (Some(0.8), Some((0.25, 0.9))));
        assert_eq!((ratio.p50, ratio.spread.p50), (Some(2.0), Some((1.0, 3.0))));
        assert_eq!((ratio.cpu, ratio.p999), (None, None));
    }

    #[test]
    fn a_subject_alone_has_no_ratio() {
        assert!(ratios(&[run("w", "leveret", 1.0, None)], "leveret").is_empty());
        assert!(ratios(&[run("w", "raw", 1.0, None)], "leveret").is_empty());
    }

    #[test]
    fn the_typical_run_has_the_median_of_each_figure() {
        let runs =
            [run("w", "a", 3.0, Some(1.0)), run("w", "a", 1.0, None), run("w", "a", 2.0, None)];
        let typical = typical(&runs.iter().collect::<Vec<_>>()).expect("three runs");
        assert_eq!((typical.rate_per_s, typical.latency_us.p50), (2.0, Some(1.0)));
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
