//! A report as Markdown, in the dialect of GitHub.

use std::fmt::Write as _;

use crate::report::compared;
use crate::report::escape::{code_span, markdown as escaped};
use crate::report::machines::{self, Named};
use crate::report::rows;
use crate::report::tables::table::{Cell, Table};
use crate::report::tables::{comparisons, files, idle, ratios, runs};
use crate::results::comparison::Comparison;

/// The whole report.
pub(crate) fn report(title: &str, all: &[Named<'_>]) -> String {
    let mut out = format!("# {}\n", escaped(title));
    let differences = machines::differences(all);
    if !differences.is_empty() {
        out.push_str(
            "\n> **These files come from different machines; their figures do not compare.**\n",
        );
        for difference in differences {
            // Writing to a string cannot fail.
            let _ = writeln!(out, ">\n> {}", escaped(&difference));
        }
    }
    if let Some(table) = files::table(all).filter(|_| all.len() > 1) {
        section(&mut out, 2, &table);
    }
    for one in all {
        file(&mut out, one);
    }
    out
}

fn file(out: &mut String, one: &Named<'_>) {
    let results = one.results;
    let suite = if results.suite.is_empty() { &one.name } else { &results.suite };
    let name = if *suite == one.name {
        escaped(suite)
    } else {
        escaped(&format!("{suite} ({})", one.name))
    };
    let _ = writeln!(out, "\n## {name}\n");
    for note in &results.notes {
        let _ = writeln!(out, "> **Note:** {}\n", escaped(note));
    }
    for (fact, value) in machines::facts(results) {
        let _ = writeln!(out, "- {fact}: {}", escaped(&value));
    }
    let command = match results.command.as_str() {
        "" => machines::recorded(""),
        command => code_span(command),
    };
    let _ = writeln!(out, "- command: {command}");
    let rows = rows::of(results);
    let stated = compared::stated(&results.comparisons, &rows);
    if !stated.is_empty() {
        let _ = writeln!(out, "\n### Ratios by workload\n\n{}", ratios_table(&stated));
        section(out, 3, &comparisons::table(&stated));
    }
    if !rows.is_empty() {
        section(out, 3, &runs::table(&rows));
    }
    if let Some(idle) = idle::table(results) {
        section(out, 3, &idle);
    }
}

/// Ratios by workload, rate and CPU time against each other subject: the table of the README.
pub(crate) fn ratios_table(all: &[Comparison]) -> String {
    let table = ratios::table(all);
    format!("{}\n{}", lines(&table), notes(&table))
}

fn section(out: &mut String, level: usize, table: &Table) {
    let heading = "#".repeat(level);
    let title = escaped(&table.title);
    let _ = write!(out, "\n{heading} {title}\n\n{}\n{}", lines(table), notes(table));
}

fn notes(table: &Table) -> String {
    let notes: Vec<String> =
        table.notes.iter().map(|note| format!("{}\n", escaped(note))).collect();
    notes.join("\n")
}

/// The lines of a table. The name of a group is the first cell of each of its rows.
fn lines(table: &Table) -> String {
    let names = table.columns.iter().map(|column| escaped(&column.name));
    let group = (!table.group.is_empty()).then(|| table.group.to_owned());
    let has_groups = group.is_some();
    let header: Vec<String> = group.into_iter().chain(names).collect();
    let mut out = line(&header);
    let left = if has_groups { 2 } else { 1 };
    let rule = |at: usize| if at < left { "---" } else { "---:" }.to_owned();
    out.push_str(&line(&(0..header.len()).map(rule).collect::<Vec<_>>()));
    for group in &table.groups {
        let about =
            if group.about.is_empty() { String::new() } else { format!(", {}", group.about) };
        let name = has_groups.then(|| format!("{}{about}", code_cell(&group.name)));
        for row in &group.rows {
            let cells = row.iter().enumerate().map(|(at, cell)| match (has_groups, at) {
                (false, 0) => code_cell(&cell.text),
                _ => value(cell),
            });
            out.push_str(&line(&name.clone().into_iter().chain(cells).collect::<Vec<_>>()));
        }
    }
    out
}

/// Code in a table, where a bar ends the cell even in code.
fn code_cell(text: &str) -> String {
    code_span(text).replace('|', "\\|")
}

fn value(cell: &Cell) -> String {
    escaped(&cell.text)
}

fn line(cells: &[String]) -> String {
    format!("| {} |\n", cells.join(" | "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::comparing;
    use crate::results::comparing::tests::run;
    use crate::results::document::{Machine, Results};

    fn results() -> Results {
        let runs = vec![run("w|<b>", "leveret", 20.0, Some(7.0)), run("w|<b>", "raw", 40.0, None)];
        let comparisons = comparing::comparisons(&runs, &["leveret", "raw"], 1);
        let machine = Machine { cpu: Some("Zen".to_owned()), ..Machine::default() };
        let notes = vec!["the machine was busy".to_owned()];
        let command = "leveret-perf --only w".to_owned();
        Results { runs, comparisons, machine, notes, command, ..Results::default() }
    }

    #[test]
    fn every_line_of_a_table_has_as_many_cells_as_its_header() {
        let results = results();
        let text = report("A *title*", &[Named { name: "f".to_owned(), results: &results }]);
        assert!(text.starts_with("# A \\*title\\*\n"), "{text}");
        assert!(text.contains("- command: `leveret-perf --only w`\n"), "{text}");
        assert!(text.contains("> **Note:** the machine was busy"), "{text}");
        let mut width = 0;
        for line in text.lines() {
            let bars = line.replace("\\|", "").matches('|').count();
            assert!(width == 0 || bars == 0 || bars == width, "{line}");
            width = bars;
        }
        assert!(text.contains("| `w\\|<b>`, closed loop | leveret | 20 |"), "{text}");
    }

    #[test]
    fn several_machines_are_told() {
        let (one, other) = (results(), Results { machine: Machine::default(), ..results() });
        let named = |name: &str, results| Named { name: name.to_owned(), results };
        let text = report("t", &[named("a", &one), named("b", &other)]);
        assert!(text.contains("different machines") && text.contains("CPU: Zen (a)"), "{text}");
    }
}
