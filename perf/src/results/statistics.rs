//! Medians, typical values and their bootstrap intervals: pure functions over numbers.

use fastrand::Rng;

/// Resamples of a bootstrap.
const RESAMPLES: usize = 1000;
/// Share of the resamples below the interval, and above it: 95 % lie inside.
const TAIL: f64 = 0.025;
/// Seed of every bootstrap, so that the same runs have the same interval.
const SEED: u64 = 1;

/// The median; the mean of the middle two values if their number is even.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    middle_of(&sorted)
}

/// The typical value: the median of the means of all pairs, each value with itself included
/// (Hodges and Lehmann). Nearly a third of the values may be wild without harm, as almost half may
/// with the median; but it varies as little as the mean.
pub(crate) fn typical(values: &[f64]) -> Option<f64> {
    let pairs = values.iter().enumerate();
    let means = pairs
        .flat_map(|(at, one)| values[at..].iter().map(move |other| f64::midpoint(*one, *other)));
    median(&means.collect::<Vec<f64>>())
}

/// Bounds of the 95 % interval of the typical value: percentiles of those of resamples.
pub(crate) fn typical_interval(values: &[f64]) -> Option<(f64, f64)> {
    if values.is_empty() {
        return None;
    }
    let mut random = Rng::with_seed(SEED);
    let mut found: Vec<f64> = (0..RESAMPLES)
        .filter_map(|_| {
            let drawn: Vec<f64> =
                (0..values.len()).map(|_| values[random.usize(..values.len())]).collect();
            typical(&drawn)
        })
        .collect();
    found.sort_by(f64::total_cmp);
    let at = |share: f64| found[(share * (RESAMPLES - 1) as f64).round() as usize];
    Some((at(TAIL), at(1.0 - TAIL)))
}

fn middle_of(sorted: &[f64]) -> Option<f64> {
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        n if n % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_of_odd_even_and_none() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn wild_values_do_not_move_the_typical_one_far() {
        let typical = |values: &[f64]| typical(values).expect("there are values");
        assert_eq!(typical(&[1.0, 2.0, 3.0]), 2.0);
        let wild = [1.0, 1.1, 0.9, 1.0, 1.05, 0.95, 40.0, 90.0];
        assert!((typical(&wild) - 1.0).abs() < 0.1, "{}", typical(&wild));
        assert_eq!(super::typical(&[]), None);
    }

    #[test]
    fn an_interval_holds_the_typical_value_and_narrows_with_more_values() {
        let values = |n: usize| -> Vec<f64> {
            let mut random = Rng::with_seed(7);
            (0..n).map(|_| 1.0 + random.f64() / 10.0).collect()
        };
        let width = |n| {
            let values = values(n);
            let (low, high) = typical_interval(&values).expect("there are values");
            let typical = typical(&values).expect("there are values");
            assert!(low <= typical && typical <= high, "{low} {typical} {high}");
            high - low
        };
        assert!(width(100) < width(8) / 2.0, "{} {}", width(100), width(8));
        assert_eq!(typical_interval(&[]), None);
        assert_eq!(typical_interval(&[2.0]), Some((2.0, 2.0)));
    }

    /// 95 of 100 intervals hold the true centre; here of a uniform distribution.
    #[test]
    fn intervals_hold_the_true_centre_as_often_as_they_say() {
        let mut random = Rng::with_seed(11);
        let holds = |_: &usize| {
            let values: Vec<f64> = (0..15).map(|_| random.f64()).collect();
            let (low, high) = typical_interval(&values).expect("there are values");
            low <= 0.5 && 0.5 <= high
        };
        let held = (0..300).filter(holds).count();
        assert!(held >= 275, "{held} of 300");
    }
}
