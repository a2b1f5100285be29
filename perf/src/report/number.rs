//! Numbers as a report shows them.

/// A figure that was not measured, or that has no meaning for the workload.
pub(crate) const DASH: &str = "–";

/// A whole number with a comma between groups of three digits.
pub(crate) fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A small figure, such as microseconds per message: more decimals the smaller it is.
pub(crate) fn figure(value: f64) -> String {
    match value {
        0.0 => "0".to_owned(),
        1000.0.. => grouped(value),
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        0.1.. => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// Microseconds as a number of a column: a decimal below ten only.
pub(crate) fn us(value: f64) -> String {
    if value < 10.0 { format!("{value:.1}") } else { grouped(value) }
}

/// A latency with its unit, for sentences and labels.
pub(crate) fn latency(us: f64) -> String {
    let (value, unit) = match us {
        1_000_000.0.. => (us / 1_000_000.0, "s"),
        1000.0.. => (us / 1000.0, "ms"),
        _ => (us, "µs"),
    };
    format!("{} {unit}", short(value))
}

/// A rate for labels: `250`, `12 k`, `1.5 M`.
pub(crate) fn rate(per_s: f64) -> String {
    match per_s {
        1_000_000.0.. => format!("{} M", short(per_s / 1_000_000.0)),
        1000.0.. => format!("{} k", short(per_s / 1000.0)),
        _ => short(per_s),
    }
}

/// Three digits at most after the first, without zeros at the end.
pub(crate) fn short(value: f64) -> String {
    let decimals = match value.abs() {
        100.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        _ => 3,
    };
    let text = format!("{value:.decimals$}");
    if decimals == 0 {
        return text;
    }
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A missing figure is a dash.
pub(crate) fn or_dash(value: Option<f64>, show: impl Fn(f64) -> String) -> String {
    value.map_or_else(|| DASH.to_owned(), show)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_long_as_they_are_exact() {
        assert_eq!(grouped(1_234_567.4), "1,234,567");
        assert_eq!(grouped(999.0), "999");
        let figures = [0.0, 0.0034, 0.512, 12.34, 544.4, 12_345.0].map(figure);
        assert_eq!(figures, ["0", "0.003", "0.51", "12.3", "544", "12,345"]);
        assert_eq!([0.43, 9.96, 1234.0].map(us), ["0.4", "10.0", "1,234"]);
        assert_eq!(or_dash(None, us), "–");
    }

    #[test]
    fn labels_have_the_unit_that_fits() {
        let latencies = [0.5, 42.0, 1000.0, 1320.0, 104_000.0, 2_500_000.0].map(latency);
        assert_eq!(latencies, ["0.5 µs", "42 µs", "1 ms", "1.32 ms", "104 ms", "2.5 s"]);
        let rates = [0.0, 250.0, 12_000.0, 1_500_000.0].map(rate);
        assert_eq!(rates, ["0", "250", "12 k", "1.5 M"]);
    }
}
