//! The compact table of ratios: one line for each workload, one column for each other subject.

use crate::report::number;
use crate::report::tables::comparisons::{OTHER_PROMISES, OTHER_PROMISES_NOTE};
use crate::report::tables::table::{Cell, Column, Group, Table, column};
use crate::results::comparison::{Comparison, Estimate};

pub(crate) fn table(comparisons: &[Comparison]) -> Table {
    let others = distinct(comparisons.iter().map(|one| one.against.as_str()));
    let headed = |figure: &str| -> Vec<Column> {
        let first = |at: usize| if at == 0 { format!("{figure} against ") } else { String::new() };
        others.iter().enumerate().map(|(at, other)| column(first(at) + other)).collect()
    };
    let mut columns = vec![column("workload")];
    columns.extend(headed("rate"));
    columns.extend(headed("CPU"));
    let row = |workload: &str| {
        let ratios = |figure: fn(&Comparison) -> Option<Estimate>| -> Vec<Cell> {
            let found = |other: &&str| {
                let is_it = |one: &&Comparison| one.workload == workload && one.against == **other;
                comparisons
                    .iter()
                    .find(is_it)
                    .map_or_else(|| "".into(), |one| cell(one, figure(one)))
            };
            others.iter().map(found).collect()
        };
        let mut cells: Vec<Cell> = vec![workload.into()];
        cells.extend(ratios(|one| one.rate));
        cells.extend(ratios(|one| one.cpu));
        cells
    };
    let workloads = distinct(comparisons.iter().map(|one| one.workload.as_str()));
    let rows = workloads.into_iter().map(row).collect();
    let subject = comparisons.first().map_or("", |one| one.subject.as_str());
    let mut notes = vec![format!(
        "Ratios of {subject}: rate above 1 is faster, CPU time of the client per message below 1."
    )];
    if comparisons.iter().any(|one| !one.same_promises) {
        notes.push(OTHER_PROMISES_NOTE.to_owned());
    }
    let group = Group { rows, ..Group::default() };
    Table { title: "Ratios by workload".to_owned(), group: "", columns, groups: vec![group], notes }
}

fn cell(one: &Comparison, estimate: Option<Estimate>) -> Cell {
    let Some(estimate) = estimate else { return "".into() };
    let mark = if one.same_promises { String::new() } else { format!(" {OTHER_PROMISES}") };
    let text = format!("{}{mark}", number::figure(estimate.ratio));
    Cell { text, verdict: None }
}

fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut found: Vec<&str> = Vec::new();
    for name in names {
        if !found.contains(&name) {
            found.push(name);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::comparison::Verdict;

    fn compared(workload: &str, against: &str, rate: f64, cpu: Option<f64>) -> Comparison {
        let of = |ratio| Estimate { ratio, low: ratio, high: ratio, verdict: Verdict::Unclear };
        Comparison {
            workload: workload.to_owned(),
            subject: "leveret".to_owned(),
            against: against.to_owned(),
            same_promises: against != "lapin",
            rate: Some(of(rate)),
            cpu: cpu.map(of),
            ..Comparison::default()
        }
    }

    #[test]
    fn a_workload_is_a_line_and_a_subject_a_column() {
        let table = table(&[
            compared("cast-sink", "raw", 0.51, Some(0.003)),
            compared("cast-sink", "lapin", 544.0, None),
            compared("call-1", "lapin", 1.98, Some(0.93)),
        ]);
        let names: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(names, ["workload", "rate against raw", "lapin", "CPU against raw", "lapin"]);
        let rows: Vec<Vec<&str>> = table.groups[0]
            .rows
            .iter()
            .map(|row| row.iter().map(|cell| cell.text.as_str()).collect())
            .collect();
        assert_eq!(rows[0], ["cast-sink", "0.51", "544 ≠", "0.003", ""]);
        assert_eq!(rows[1], ["call-1", "", "1.98 ≠", "", "0.93 ≠"]);
    }
}
