//! Scales of axes and their ticks: pure functions.

/// Maps values to places.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    is_log: bool,
    /// Values at the two ends.
    values: (f64, f64),
    /// Places of the two ends.
    places: (f64, f64),
}

impl Scale {
    pub(crate) fn linear(values: (f64, f64), places: (f64, f64)) -> Self {
        Self { is_log: false, values, places }
    }

    /// A logarithmic scale; both values are above zero.
    pub(crate) fn log(values: (f64, f64), places: (f64, f64)) -> Self {
        Self { is_log: true, values, places }
    }

    /// The place of a value. Values beyond the ends stand at the ends.
    pub(crate) fn at(&self, value: f64) -> f64 {
        let of =
            |value: f64| if self.is_log { value.max(f64::MIN_POSITIVE).log10() } else { value };
        let (from, to) = (of(self.values.0), of(self.values.1));
        let share = if to > from { (of(value) - from) / (to - from) } else { 0.5 };
        self.places.0 + share.clamp(0.0, 1.0) * (self.places.1 - self.places.0)
    }

    pub(crate) fn holds(&self, value: f64) -> bool {
        // Ends are made of logarithms and miss themselves by a rounding.
        value >= self.values.0 * (1.0 - 1e-9) && value <= self.values.1 * (1.0 + 1e-9)
    }
}

/// Round values from zero to the first that is not below `max`, about `count` steps of them.
pub(crate) fn linear_ticks(max: f64, count: usize) -> Vec<f64> {
    if !max.is_finite() || max <= 0.0 {
        return vec![0.0, 1.0];
    }
    let rough = max / count.max(1) as f64;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|step| *step >= rough * (1.0 - 1e-9))
        .unwrap_or(10.0 * power);
    let steps = (max / step - 1e-9).ceil() as usize;
    (0..=steps).map(|number| number as f64 * step).collect()
}

/// Values of a logarithmic axis from `low` to `high`: powers of ten, with 2 and 5 between them if
/// these are at most `count`. The first is not above `low`, the last not below `high`.
pub(crate) fn log_ticks(low: f64, high: f64, count: usize) -> Vec<f64> {
    let low = if low.is_finite() && low > 0.0 { low } else { 1.0 };
    let high = if high.is_finite() { high.max(low) } else { low };
    let fine = ticks_of(low, high, &[1.0, 2.0, 5.0]);
    if fine.len() <= count { fine } else { ticks_of(low, high, &[1.0]) }
}

fn ticks_of(low: f64, high: f64, factors: &[f64]) -> Vec<f64> {
    let first = low.log10().floor() as i32;
    let last = high.log10().ceil() as i32 + 1;
    let all: Vec<f64> = (first..=last)
        .flat_map(|power| factors.iter().map(move |factor| factor * 10_f64.powi(power)))
        .collect();
    let start = all.iter().rposition(|tick| *tick <= low * (1.0 + 1e-9)).unwrap_or(0);
    let end = all.iter().position(|tick| *tick >= high * (1.0 - 1e-9) && *tick > all[start]);
    all[start..=end.unwrap_or(all.len() - 1)].to_vec()
}

/// Moves labels apart: places at least `gap` from each other, none above `top`, in the same order,
/// each as near to its own as that allows.
pub(crate) fn spread(places: &[f64], gap: f64, (top, bottom): (f64, f64)) -> Vec<f64> {
    let mut order: Vec<usize> = (0..places.len()).collect();
    order.sort_by(|a, b| places[*a].total_cmp(&places[*b]));
    let mut moved = places.to_vec();
    let mut free = top;
    for index in &order {
        moved[*index] = moved[*index].max(free);
        free = moved[*index] + gap;
    }
    let mut limit = bottom;
    for index in order.iter().rev() {
        moved[*index] = moved[*index].min(limit);
        limit = moved[*index] - gap;
    }
    moved
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_of_rates_are_round_and_reach_the_maximum() {
        assert_eq!(linear_ticks(48_000.0, 4), [0.0, 20_000.0, 40_000.0, 60_000.0]);
        assert_eq!(linear_ticks(10.0, 4), [0.0, 2.5, 5.0, 7.5, 10.0]);
        assert_eq!(linear_ticks(0.0, 4), [0.0, 1.0]);
        assert_eq!(linear_ticks(f64::NAN, 4), [0.0, 1.0]);
        for max in [0.3, 7.0, 99.0, 1e6, 1_234_567.0] {
            let ticks = linear_ticks(max, 4);
            assert!(ticks.last().is_some_and(|last| *last >= max), "{max}: {ticks:?}");
            assert!((2..=6).contains(&ticks.len()), "{max}: {ticks:?}");
        }
    }

    #[test]
    fn ticks_of_latencies_are_powers_of_ten_or_1_2_5() {
        let close = |found: Vec<f64>, expected: &[f64]| {
            let same = found.len() == expected.len()
                && found.iter().zip(expected).all(|(a, b)| (a / b - 1.0).abs() < 1e-9);
            assert!(same, "{found:?} {expected:?}");
        };
        close(log_ticks(30.0, 104_000.0, 8), &[10.0, 100.0, 1000.0, 10_000.0, 100_000.0, 1e6]);
        close(log_ticks(30.0, 450.0, 8), &[20.0, 50.0, 100.0, 200.0, 500.0]);
        close(log_ticks(10.0, 10.0, 8), &[10.0, 20.0]);
        close(log_ticks(0.0, 0.0, 8), &[1.0, 2.0]);
    }

    #[test]
    fn a_scale_goes_from_end_to_end() {
        let scale = Scale::log((10.0, 1000.0), (100.0, 0.0));
        assert_eq!([10.0, 100.0, 1000.0, 5000.0].map(|us| scale.at(us)), [100.0, 50.0, 0.0, 0.0]);
        assert!(scale.holds(10.0) && !scale.holds(1001.0));
        assert_eq!(Scale::linear((0.0, 4.0), (0.0, 8.0)).at(1.0), 2.0);
        assert_eq!(Scale::linear((0.0, 0.0), (0.0, 8.0)).at(0.0), 4.0);
    }

    #[test]
    fn labels_are_moved_apart() {
        let moved = spread(&[50.0, 52.0, 10.0], 12.0, (0.0, 100.0));
        assert_eq!(moved, [50.0, 62.0, 10.0]);
        let moved = spread(&[98.0, 99.0], 12.0, (0.0, 100.0));
        assert_eq!(moved, [88.0, 100.0]);
        assert!(spread(&[], 12.0, (0.0, 100.0)).is_empty());
    }
}
