//! The table of runs: the typical figures of each subject in each workload.
//!
//! A row of an open loop has two lines: latency from the time at which an operation was due, and
//! from the time at which it started.

use crate::report::number::{self, DASH};
use crate::report::rows::{self, Row};
use crate::report::tables::table::{Cell, Column, Group, Table};
use crate::results::metrics;
use crate::results::run::Latency;
use crate::workload::promises::Promises;

const COLUMNS: [(&str, &str); 19] = [
    ("subject", ""),
    ("rate /s", "messages completed per second"),
    ("offered /s", "messages due per second, in an open loop"),
    ("p50 µs", "latency in microseconds"),
    ("p90 µs", "latency in microseconds"),
    ("p99 µs", "latency in microseconds"),
    ("p99.9 µs", "latency in microseconds"),
    ("max µs", "latency in microseconds"),
    ("CPU client", "microseconds of CPU time per message"),
    ("CPU server", "microseconds of CPU time per message"),
    ("CPU broker", "microseconds of CPU time per message"),
    ("sys/msg", "system calls of the client per message"),
    ("alloc/msg", "allocations of the client per message"),
    ("C", "the broker confirms every publication"),
    ("A", "receivers acknowledge every delivery"),
    ("M", "mandatory: the broker returns what no queue takes"),
    ("P", "persistent: the broker is asked to write messages to disk"),
    ("errors", "messages refused, returned or timed out, all windows together"),
    ("windows", "measured windows; each figure is their median"),
];
/// Columns before the latencies, and after them.
const BEFORE: usize = 3;
const AFTER: usize = COLUMNS.len() - BEFORE - 5;

/// A dash where a percentile rests on too few messages.
const TOO_FEW: &str = "–¹";

pub(crate) fn table(rows: &[Row]) -> Table {
    let columns =
        COLUMNS.map(|(name, about)| Column { name: name.to_owned(), about, is_text: false });
    let groups = rows::workloads(rows).into_iter().map(|name| group(name, rows)).collect();
    let title = "Typical runs".to_owned();
    Table { title, group: "workload", columns: columns.into(), groups, notes: notes(rows) }
}

fn group(workload: &str, rows: &[Row]) -> Group {
    let rows: Vec<&Row> = rows.iter().filter(|row| row.run.workload == workload).collect();
    let mut lines = Vec::new();
    for row in &rows {
        lines.push(figures(row));
        lines.extend(service(row));
    }
    Group { name: workload.to_owned(), about: loop_of(&rows).to_owned(), rows: lines }
}

/// How the operations of these rows start.
pub(crate) fn loop_of(rows: &[&Row]) -> &'static str {
    if rows.iter().any(|row| row.is_open_loop()) {
        "open loop"
    } else if rows.iter().any(|row| row.has_latencies()) {
        "closed loop"
    } else {
        "no latencies"
    }
}

fn figures(row: &Row) -> Vec<Cell> {
    let run = &row.run;
    let name = match row.is_open_loop() {
        true => format!("{}, from due time", run.subject),
        false => run.subject.clone(),
    };
    let mut cells: Vec<Cell> = vec![name.into(), number::grouped(run.rate_per_s).into()];
    cells.push(Cell::figure(run.offered_per_s, number::grouped));
    cells.extend(latencies(&run.latency_us, row.samples));
    let per_message = [
        run.client_cpu_us_per_msg,
        run.server_cpu_us_per_msg,
        run.broker_cpu_us_per_msg,
        run.syscalls_per_msg,
        run.allocations_per_msg,
    ];
    cells.extend(per_message.map(|value| Cell::figure(value, number::figure)));
    let Promises { confirmed, acknowledged, mandatory, persistent } = run.promises;
    cells.extend([confirmed, acknowledged, mandatory, persistent].map(promise));
    cells.push(number::grouped(run.errors as f64).into());
    cells.push(row.windows.to_string().into());
    cells
}

/// The second line of an open loop.
fn service(row: &Row) -> Option<Vec<Cell>> {
    let service = row.run.service_us.filter(|_| row.is_open_loop())?;
    let mut cells: Vec<Cell> = vec![format!("{}, from start", row.run.subject).into()];
    cells.resize(BEFORE, "".into());
    cells.extend(latencies(&service, row.samples));
    cells.resize(BEFORE + 5 + AFTER, "".into());
    Some(cells)
}

fn latencies(latency: &Latency, samples: u64) -> [Cell; 5] {
    let percentile = |value: Option<f64>, quantile| match value {
        Some(_) if !metrics::is_stable(quantile, samples) => TOO_FEW.into(),
        value => Cell::figure(value, number::us),
    };
    [
        percentile(latency.p50, 0.5),
        percentile(latency.p90, 0.9),
        percentile(latency.p99, 0.99),
        percentile(latency.p999, 0.999),
        Cell::figure(latency.max, number::us),
    ]
}

fn promise(is_promised: Option<bool>) -> Cell {
    match is_promised {
        Some(true) => "yes",
        Some(false) => "no",
        None => DASH,
    }
    .into()
}

/// Whether a stall hides in the latencies of this row.
pub(crate) fn is_closed_loop(row: &Row) -> bool {
    !row.is_open_loop() && row.has_latencies()
}

fn notes(rows: &[Row]) -> Vec<String> {
    let mut notes = vec![
        "Each figure is its median over the windows; errors are those of all windows.".to_owned(),
        "– not measured, or without meaning for the workload.".to_owned(),
        "¹ Fewer than ten messages of a window lie above this percentile, too few to state it."
            .to_owned(),
    ];
    if rows.iter().any(is_closed_loop) {
        notes.push(CLOSED_LOOP.to_owned());
    }
    if rows.iter().any(Row::is_open_loop) {
        notes.push(OPEN_LOOP.to_owned());
    }
    notes.push(
        "CPU is in µs per message. Promises for each message: C\u{a0}confirmed by the broker, \
         A\u{a0}acknowledged by the receiver, M\u{a0}mandatory, P\u{a0}persistent."
            .to_owned(),
    );
    notes
}

/// What a closed loop cannot see.
pub(crate) const CLOSED_LOOP: &str = "Closed loop: an operation starts when a former one ends, so \
    a stall delays later starts instead of showing in their latencies.";
const OPEN_LOOP: &str = "Open loop: operations start on a schedule that does not wait. From due \
    time counts the wait for a late start, from start does not.";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::comparing::tests::run;
    use crate::results::document::Results;
    use crate::results::run::Run;

    fn table_of(runs: Vec<Run>) -> Table {
        table(&rows::of(&Results { runs, ..Results::default() }))
    }

    fn texts(cells: &[Cell]) -> Vec<&str> {
        cells.iter().map(|cell| cell.text.as_str()).collect()
    }

    #[test]
    fn a_closed_loop_says_what_it_cannot_see() {
        let promises =
            Promises { confirmed: Some(true), mandatory: Some(false), ..Promises::default() };
        let latency_us =
            Latency { p50: Some(41.0), p99: Some(99.5), p999: Some(250.0), ..Latency::default() };
        let closed = Run { promises, latency_us, errors: 2, ..run("call-1", "a", 5000.0, None) };
        let table = table_of(vec![closed]);
        let group = &table.groups[0];
        assert_eq!((group.name.as_str(), group.about.as_str()), ("call-1", "closed loop"));
        let cells = texts(&group.rows[0]);
        assert_eq!(cells.len(), table.columns.len());
        assert_eq!(cells[..8], ["a", "5,000", "–", "41", "–", "100", "–¹", "–"]);
        assert_eq!(cells[13..], ["yes", "–", "no", "–", "2", "1"]);
        assert!(table.notes.iter().any(|note| note == CLOSED_LOOP));
        assert!(!table.notes.iter().any(|note| note == OPEN_LOOP));
    }

    #[test]
    fn an_open_loop_has_both_latencies() {
        let of = |p50| Latency { p50: Some(p50), ..Latency::default() };
        let open = Run {
            offered_per_s: Some(20_000.0),
            latency_us: of(900.0),
            service_us: Some(of(40.0)),
            ..run("call-open", "a", 19_000.0, None)
        };
        let table = table_of(vec![open]);
        let rows = &table.groups[0].rows;
        assert_eq!(texts(&rows[0])[..4], ["a, from due time", "19,000", "20,000", "900"]);
        assert_eq!(texts(&rows[1])[..4], ["a, from start", "", "", "40"]);
        assert_eq!(rows[1].len(), table.columns.len());
        assert!(table.notes.iter().any(|note| note == OPEN_LOOP));
        assert_eq!(table_of(vec![run("cast", "a", 1.0, None)]).groups[0].about, "no latencies");
    }
}
