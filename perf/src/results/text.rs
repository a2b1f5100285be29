//! The results of a suite as tables.
//!
//! One line per subject and workload, with medians over the runs; then the ratios with their
//! extremes. A missing figure is a dash.
#![expect(clippy::print_stdout, reason = "the report is this program's output")]

use comfy_table::Table;

use crate::results::comparison::{Comparison, Estimate};
use crate::results::document::Results;
use crate::results::run::Run;
use crate::results::{comparing, metrics, table};
use crate::workload::workload::Workload;

const CLOSED_LOOP: &str = "\nclosed loop: an operation starts when a former one ends, so a stall \
                           delays later starts instead of showing in their latencies";
const OPEN_LOOP: &str = "\nopen loop (…-at-…): latencies count from the time at which an operation \
                         was due, so a stall shows in all that were due meanwhile";

/// Prints the tables of a suite.
pub(crate) fn print(suite: &Results) {
    println!("{}", machine_line(suite));
    let subjects: Vec<&str> = suite.subjects.iter().map(|subject| subject.name.as_str()).collect();
    let rows = comparing::rows(&suite.runs, &subjects).into_iter();
    let (idle, busy): (Vec<_>, Vec<_>) =
        rows.filter_map(|windows| metrics::typical(&windows)).partition(Run::is_idle);
    if !busy.is_empty() {
        println!("{}", runs_table(&busy));
    }
    if !idle.is_empty() {
        println!("{}", idle_table(&idle));
    }
    println!("{}", legend(&suite.runs));
    if !suite.comparisons.is_empty() {
        println!("\nratios to the others: the typical one of interleaved blocks [95 % interval]");
        println!("{}", comparisons_table(&suite.comparisons));
        if suite.comparisons.iter().any(|one| !one.same_promises) {
            println!("{OTHER_PROMISES}: other promises, so like is not compared with like");
        }
    }
    for note in &suite.notes {
        println!("note: {note}");
    }
}

/// Prints the names `--only` takes.
pub(crate) fn print_catalogue(catalogue: &[Workload]) {
    for workload in catalogue {
        println!("{:<26}{}", workload.name, workload.about);
    }
}

fn machine_line(suite: &Results) -> String {
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

/// One line for each typical run.
fn runs_table(rows: &[Run]) -> Table {
    let mut table = table::new(&[
        "workload",
        "subject",
        "promises",
        "msg/s",
        "CPU µs/msg",
        "servers",
        "broker",
        "alloc/msg",
        "sys/msg",
        "p50",
        "p90",
        "p99",
        "p99.9",
        "max",
        "errors",
    ]);
    for run in rows {
        table.add_row(run_row(run));
    }
    table::align_right(&mut table, 3);
    table
}

/// What transports cost that do nothing.
fn idle_table(rows: &[Run]) -> Table {
    let mut table = table::new(&["workload", "subject", "KiB/transport", "threads", "wake-ups/s"]);
    for typical in rows {
        table.add_row(vec![
            typical.workload.clone(),
            typical.subject.clone(),
            figure(typical.memory_kib.map(|kib| kib as f64), 0),
            typical.threads.to_string(),
            figure(typical.wakeups_per_s, 1),
        ]);
    }
    table::align_right(&mut table, 2);
    table
}

/// What the figures mean.
fn legend(runs: &[Run]) -> String {
    let mut text =
        "latencies in microseconds; CPU of the client, the servers and the broker; promises: \
         Confirmed, Acknowledged, Mandatory, Persistent"
            .to_owned();
    if runs.iter().any(|run| run.offered_per_s.is_none()) {
        text.push_str(CLOSED_LOOP);
    }
    if runs.iter().any(|run| run.offered_per_s.is_some()) {
        text.push_str(OPEN_LOOP);
    }
    text
}

fn run_row(run: &Run) -> Vec<String> {
    let latency = &run.latency_us;
    let messages: u64 = run.histogram.iter().map(|(_, count)| count).sum();
    let known = |value: Option<f64>, quantile: f64| {
        value.filter(|_| metrics::is_stable(quantile, messages))
    };
    let mut row = vec![
        run.workload.clone(),
        run.subject.clone(),
        run.promises.to_string(),
        grouped(run.rate_per_s),
        figure(run.client_cpu_us_per_msg, 3),
        figure(run.server_cpu_us_per_msg, 1),
        figure(run.broker_cpu_us_per_msg, 1),
        figure(run.allocations_per_msg, 3),
        figure(run.syscalls_per_msg, 3),
    ];
    let percentiles = [
        latency.p50,
        known(latency.p90, 0.9),
        known(latency.p99, 0.99),
        known(latency.p999, 0.999),
        latency.max,
    ];
    row.extend(percentiles.map(|value| figure(value, 0)));
    row.push(run.errors.to_string());
    row
}

/// Beside the name of a subject that promises something else.
const OTHER_PROMISES: &str = " ≠";

fn comparisons_table(comparisons: &[Comparison]) -> Table {
    let mut table =
        table::new(&["workload", "against", "rate", "CPU", "p50", "p99", "p99.9", "blocks"]);
    for one in comparisons {
        let mark = if one.same_promises { "" } else { OTHER_PROMISES };
        table.add_row(vec![
            one.workload.clone(),
            format!("{}{mark}", one.against),
            estimate(one.rate),
            estimate(one.cpu),
            estimate(one.p50),
            estimate(one.p99),
            estimate(one.p999),
            one.blocks.to_string(),
        ]);
    }
    table::align_right(&mut table, 2);
    table
}

/// A number with `digits` decimals, or a dash.
pub(crate) fn figure(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
}

fn estimate(value: Option<Estimate>) -> String {
    value.map_or_else(
        || "-".to_owned(),
        |Estimate { ratio, low, high, verdict }| {
            format!("{ratio:.2} [{low:.2}, {high:.2}] {}", verdict.word())
        },
    )
}

/// A whole number with a space between groups of three digits.
pub(crate) fn grouped(value: f64) -> String {
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
    use crate::results::comparing::tests::run;

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
        let rows = comparing::rows(&runs, &["leveret", "raw"]).into_iter();
        let rows: Vec<Run> = rows.filter_map(|windows| metrics::typical(&windows)).collect();
        let table = runs_table(&rows);
        assert_eq!(table.row_count(), 2);
        assert!(table.to_string().contains("15"), "the median of ten and twenty:\n{table}");
    }
}
