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

/// Bounds of the 95 % interval of the typical value: percentiles of those of resamples, widened as
/// few values need (see [`widening`]).
pub(crate) fn typical_interval(values: &[f64]) -> Option<(f64, f64)> {
    let center = typical(values)?;
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
    let wider = widening(values.len());
    let bound = |share| center + (at(share) - center) * wider;
    Some((bound(TAIL), bound(1.0 - TAIL)))
}

/// By how much intervals of `n` values are wider than their resamples, 1.2 for ten values and 1.05
/// for forty: resamples vary by n - 1 parts of n only, and a deviation that is itself estimated
/// asks for Student's t in place of the normal deviate. Without it, two that are the same look
/// different twice as often as 95 % allow.
fn widening(n: usize) -> f64 {
    /// The normal deviate of [`TAIL`].
    const Z: f64 = 1.96;
    if n < 2 {
        return 1.0;
    }
    let freedom = (n - 1) as f64;
    // The first terms of Cornish and Fisher's expansion of t; within 1 % from five values on.
    let terms = [
        Z,
        (Z.powi(3) + Z) / 4.0,
        (5.0 * Z.powi(5) + 16.0 * Z.powi(3) + 3.0 * Z) / 96.0,
        (3.0 * Z.powi(7) + 19.0 * Z.powi(5) + 17.0 * Z.powi(3) - 15.0 * Z) / 384.0,
    ];
    let t = terms.into_iter().rfold(0.0, |sum, term| sum / freedom + term);
    (n as f64 / freedom).sqrt() * t / Z
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

    /// 95 of 100 intervals hold the true centre; here of sums of uniform values.
    #[test]
    fn intervals_hold_the_true_centre_as_often_as_they_say() {
        for n in [6, 12] {
            let mut random = Rng::with_seed(11);
            let holds = |_: &usize| {
                let values: Vec<f64> =
                    (0..n).map(|_| (0..4).map(|_| random.f64()).sum::<f64>()).collect();
                let (low, high) = typical_interval(&values).expect("there are values");
                low <= 2.0 && 2.0 <= high
            };
            let held = (0..300).filter(holds).count();
            assert!((276..=294).contains(&held), "{held} of 300 intervals of {n} values");
        }
    }

    #[test]
    fn few_values_have_wider_intervals() {
        // Student's t with 4, 9 and 39 degrees of freedom: 2.776, 2.262, 2.023.
        for (n, t) in [(5, 2.776), (10, 2.262), (40, 2.023)] {
            let expected = (n as f64 / (n - 1) as f64).sqrt() * t / 1.96;
            assert!((widening(n) / expected - 1.0).abs() < 0.01, "{n}: {}", widening(n));
        }
        assert_eq!(widening(1), 1.0);
    }
}
