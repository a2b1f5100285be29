//! The figures a threshold names: what each is, and its value in a row.

use crate::report::number;
use crate::report::rows::Row;
use crate::results::metrics;

/// A figure of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Figure {
    P50,
    P90,
    P99,
    P999,
    Max,
    Rate,
    Errors,
    Cpu,
    Syscalls,
    Allocations,
    Offered,
}

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quantity {
    /// Microseconds.
    Latency,
    /// Messages per second.
    Rate,
    /// Microseconds of CPU time per message.
    CpuTime,
    /// A number without a unit.
    Count,
}

/// Names, and an alias at the end.
const NAMES: [(&str, Figure); 12] = [
    ("p50", Figure::P50),
    ("p90", Figure::P90),
    ("p99", Figure::P99),
    ("p99.9", Figure::P999),
    ("max", Figure::Max),
    ("rate", Figure::Rate),
    ("errors", Figure::Errors),
    ("cpu", Figure::Cpu),
    ("sys", Figure::Syscalls),
    ("alloc", Figure::Allocations),
    ("offered", Figure::Offered),
    ("p999", Figure::P999),
];

impl Figure {
    /// Splits `call-1.p99` into `call-1` and the figure.
    pub(crate) fn at_end_of(text: &str) -> Option<(&str, Self)> {
        NAMES
            .iter()
            .find_map(|(name, figure)| Some((text.strip_suffix(name)?.strip_suffix('.')?, *figure)))
    }

    /// The names of all, for messages.
    pub(crate) fn names() -> String {
        NAMES[..NAMES.len() - 1].iter().map(|(name, _)| *name).collect::<Vec<_>>().join(" ")
    }

    pub(crate) fn name(self) -> &'static str {
        NAMES.iter().find(|(_, figure)| *figure == self).map_or("", |(name, _)| name)
    }

    pub(crate) const fn quantity(self) -> Quantity {
        match self {
            Self::P50 | Self::P90 | Self::P99 | Self::P999 | Self::Max => Quantity::Latency,
            Self::Rate | Self::Offered => Quantity::Rate,
            Self::Cpu => Quantity::CpuTime,
            Self::Errors | Self::Syscalls | Self::Allocations => Quantity::Count,
        }
    }

    const fn quantile(self) -> Option<f64> {
        match self {
            Self::P50 => Some(0.5),
            Self::P90 => Some(0.9),
            Self::P99 => Some(0.99),
            Self::P999 => Some(0.999),
            _ => None,
        }
    }

    /// Whether the row has too few messages to state this percentile.
    pub(crate) fn lacks_messages(self, row: &Row) -> bool {
        self.quantile().is_some_and(|quantile| !metrics::is_stable(quantile, row.samples))
    }

    /// Its value, in microseconds where it is a time.
    pub(crate) fn of(self, row: &Row) -> Option<f64> {
        let run = &row.run;
        match self {
            Self::P50 => run.latency_us.p50,
            Self::P90 => run.latency_us.p90,
            Self::P99 => run.latency_us.p99,
            Self::P999 => run.latency_us.p999,
            Self::Max => run.latency_us.max,
            Self::Rate => Some(run.rate_per_s),
            Self::Errors => Some(run.errors as f64),
            Self::Cpu => run.client_cpu_us_per_msg,
            Self::Syscalls => run.syscalls_per_msg,
            Self::Allocations => run.allocations_per_msg,
            Self::Offered => run.offered_per_s,
        }
    }

    /// A value with its unit.
    pub(crate) fn show(self, value: f64) -> String {
        match self.quantity() {
            Quantity::Latency => number::latency(value),
            Quantity::Rate => format!("{}/s", number::grouped(value)),
            Quantity::CpuTime => format!("{} µs/msg", number::short(value)),
            Quantity::Count => number::short(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_stands_at_the_end_of_a_name() {
        assert_eq!(Figure::at_end_of("call-1.p99"), Some(("call-1", Figure::P99)));
        assert_eq!(Figure::at_end_of("call-1.p99.9"), Some(("call-1", Figure::P999)));
        assert_eq!(Figure::at_end_of("call-1@a.b.p999"), Some(("call-1@a.b", Figure::P999)));
        assert_eq!(Figure::at_end_of("call-1"), None);
        assert_eq!(Figure::at_end_of("call-1.p98"), None);
    }

    #[test]
    fn values_are_shown_with_units() {
        assert_eq!(Figure::P99.show(1320.0), "1.32 ms");
        assert_eq!(Figure::Rate.show(48_210.0), "48,210/s");
        assert_eq!(Figure::Errors.show(3.0), "3");
        assert!(Figure::names().ends_with("offered"));
        assert_eq!(Figure::P999.name(), "p99.9");
    }
}
