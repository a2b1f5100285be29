//! The results of a suite as tables.
//!
//! One line per subject and workload, with medians over the runs; then the ratios with their
//! extremes. A missing figure is a dash.
#![expect(clippy::print_stdout, reason = "the report is this program's output")]

use comfy_table::Table;

use crate::results::sample::{Ratio, Run, SuiteResults};
use crate::results::{metrics, table};
use crate::workload::Workload;

/// Prints the tables of a suite.
pub(crate) fn print(suite: &SuiteResults) {
    println!("{}", machine_line(suite));
    println!("{}", runs_table(&suite.runs));
    println!("closed loop: an operation starts when a former one ends; latencies in microseconds");
    if let Some(hint) = &suite.machine.hint {
        println!("{hint}");
    }
    if !suite.ratios.is_empty() {
        println!("\nratios, leveret / peer: median of the interleaved pairs (smallest-largest)");
        println!("{}", ratios_table(&suite.ratios));
    }
}

/// Prints the names `--only` takes.
pub(crate) fn print_catalogue(catalogue: &[Workload]) {
    for workload in catalogue {
        println!("{:<26}{}", workload.name, workload.about);
    }
}

fn machine_line(suite: &SuiteResults) -> String {
    let machine = &suite.machine;
    let dash = || "-".to_owned();
    format!(
        "{}, {} core(s), Linux {}, backend {}, executor {}, busy poll {} µs, broker {}",
        machine.cpu.clone().unwrap_or_else(dash),
        machine.cores,
        machine.kernel.clone().unwrap_or_else(dash),
        machine.backend.clone().unwrap_or_else(dash),
        machine.executor.clone().unwrap_or_else(dash),
        machine.busy_poll_us,
        machine.broker.clone().unwrap_or_else(dash),
    )
}

fn runs_table(runs: &[Run]) -> Table {
    let mut table = table::new(&[
        "workload",
        "subject",
        "msg/s",
        "CPU µs/msg",
        "alloc/msg",
        "sys/msg",
        "p50",
        "p90",
        "p99",
        "p99.9",
        "max",
        "errors",
    ]);
    let mut done: Vec<(&str, &str)> = Vec::new();
    for run in runs {
        let key = (run.workload.as_str(), run.subject.as_str());
        if done.contains(&key) {
            continue;
        }
        done.push(key);
        let same: Vec<&Run> = runs
            .iter()
            .filter(|other| (other.workload.as_str(), other.subject.as_str()) == key)
            .collect();
        let Some(typical) = metrics::typical(&same) else { continue };
        table.add_row(run_row(&typical));
    }
    table::align_right(&mut table, 2);
    table
}

fn run_row(run: &Run) -> Vec<String> {
    let latency = &run.latency_us;
    let mut row = vec![
        run.workload.clone(),
        run.subject.clone(),
        grouped(run.rate_per_s),
        figure(run.client_cpu_us_per_msg, 3),
        figure(run.allocations_per_msg, 3),
        figure(run.syscalls_per_msg, 3),
    ];
    let percentiles = [latency.p50, latency.p90, latency.p99, latency.p999, latency.max];
    row.extend(percentiles.map(|value| figure(value, 0)));
    row.push(run.errors.to_string());
    row
}

fn ratios_table(ratios: &[Ratio]) -> Table {
    let mut table = table::new(&["workload", "against", "rate", "CPU", "p50", "p99.9", "pairs"]);
    for ratio in ratios {
        let spread = &ratio.spread;
        table.add_row(vec![
            ratio.workload.clone(),
            ratio.against.clone(),
            spread_figure(ratio.rate, spread.rate),
            spread_figure(ratio.cpu, spread.cpu),
            spread_figure(ratio.p50, spread.p50),
            spread_figure(ratio.p999, spread.p999),
            ratio.pairs.to_string(),
        ]);
    }
    table::align_right(&mut table, 2);
    table
}

/// A number with `digits` decimals, or a dash.
pub(crate) fn figure(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
}

fn spread_figure(value: Option<f64>, spread: Option<(f64, f64)>) -> String {
    match (value, spread) {
        (Some(value), Some((low, high))) => format!("{value:.2} ({low:.2}-{high:.2})"),
        _ => "-".to_owned(),
    }
}

/// A whole number with a space between groups of three digits.
fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::metrics::tests::run;

    #[test]
    fn numbers_are_grouped_and_missing_ones_are_dashes() {
        assert_eq!(grouped(1_234_567.4), "1 234 567");
        assert_eq!(grouped(999.0), "999");
        assert_eq!(figure(None, 2), "-");
        assert_eq!(figure(Some(0.1234), 2), "0.12");
    }

    #[test]
    fn runs_of_one_subject_share_a_line() {
        let runs = [
            run("w", "leveret", 10.0, None),
            run("w", "raw", 40.0, None),
            run("w", "leveret", 20.0, None),
        ];
        let table = runs_table(&runs);
        assert_eq!(table.row_count(), 2);
        assert!(table.to_string().contains("15"), "the median of ten and twenty:\n{table}");
    }
}
