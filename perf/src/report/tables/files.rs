//! The table of several files beside each other: rate and p99 of what more than one has measured.

use crate::report::machines::Named;
use crate::report::number::{self, DASH};
use crate::report::rows::{self, Row};
use crate::report::tables::table::{Cell, Group, Table, column};
use crate::results::metrics;

/// The table, or `None` if no two files have a row in common.
pub(crate) fn table(all: &[Named<'_>]) -> Option<Table> {
    let rows: Vec<Vec<Row>> = all.iter().map(|one| rows::of(one.results)).collect();
    let mut groups: Vec<Group> = Vec::new();
    let mut done: Vec<(&str, &str)> = Vec::new();
    for row in rows.iter().flatten() {
        let key = (row.run.workload.as_str(), row.run.subject.as_str());
        let found: Vec<Option<&Row>> = rows.iter().map(|rows| find(rows, key)).collect();
        if done.contains(&key) || found.iter().flatten().count() < 2 {
            continue;
        }
        done.push(key);
        let mut cells: Vec<Cell> = vec![key.1.into()];
        cells.extend(found.iter().map(|row| rate(*row)));
        cells.extend(found.iter().map(|row| p99(*row)));
        match groups.iter_mut().find(|group| group.name == key.0) {
            Some(group) => group.rows.push(cells),
            None => {
                let (name, rows) = (key.0.to_owned(), vec![cells]);
                groups.push(Group { name, about: String::new(), rows });
            }
        }
    }
    let mut columns = vec![column("subject")];
    columns.extend(all.iter().map(|one| column(format!("rate /s, {}", one.name))));
    columns.extend(all.iter().map(|one| column(format!("p99 µs, {}", one.name))));
    let notes = vec![
        "Typical runs of each file. They were not interleaved with each other, so a \
                      difference may be the machine's."
            .to_owned(),
    ];
    let title = "The same workloads in each file".to_owned();
    (!groups.is_empty()).then_some(Table { title, group: "workload", columns, groups, notes })
}

fn find<'a>(rows: &'a [Row], (workload, subject): (&str, &str)) -> Option<&'a Row> {
    rows.iter().find(|row| row.run.workload == workload && row.run.subject == subject)
}

fn rate(row: Option<&Row>) -> Cell {
    row.map_or_else(|| DASH.into(), |row| number::grouped(row.run.rate_per_s).into())
}

fn p99(row: Option<&Row>) -> Cell {
    let row = row.filter(|row| metrics::is_stable(0.99, row.samples));
    Cell::figure(row.and_then(|row| row.run.latency_us.p99), number::us)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::comparing::tests::run;
    use crate::results::document::Results;

    #[test]
    fn only_what_two_files_have_is_there() {
        let of = |names: &[&str]| {
            let runs = names.iter().map(|name| run(name, "a", 1000.0, None)).collect();
            Results { runs, ..Results::default() }
        };
        let (first, second) = (of(&["v", "w"]), of(&["w", "x"]));
        let named = |name: &str, results| Named { name: name.to_owned(), results };
        let table = table(&[named("old", &first), named("new", &second)]).expect("both have w");
        let [group] = &table.groups[..] else { panic!("one workload: {:?}", table.groups) };
        assert_eq!((group.name.as_str(), group.rows[0].len()), ("w", 5));
        assert!(super::table(&[named("one", &first)]).is_none());
    }
}
