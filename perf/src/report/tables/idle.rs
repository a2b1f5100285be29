//! The table of idle transports: what they cost that do nothing.

use crate::report::number;
use crate::report::rows;
use crate::report::tables::table::{Cell, Column, Group, Table};
use crate::results::comparing;
use crate::results::document::Results;
use crate::results::metrics;
use crate::results::run::Run;

const COLUMNS: [(&str, &str); 5] = [
    ("subject", ""),
    ("KiB", "resident memory that each transport adds to its process"),
    ("threads", "threads of the process"),
    ("wake-ups /s", "times per second that threads of the process woke up"),
    ("windows", "measured windows; each figure is their median"),
];

/// The table; `None` if nothing was measured idle.
pub(crate) fn table(results: &Results) -> Option<Table> {
    let mut groups: Vec<Group> = Vec::new();
    let all = comparing::rows(&results.runs, &rows::subjects(results)).into_iter();
    for windows in all.filter(|windows| windows[0].is_idle()) {
        let run = windows[0];
        let row = metrics::typical(&windows).map(|typical| row(&typical, windows.len()));
        match groups.iter_mut().find(|group| group.name == run.workload) {
            Some(group) => group.rows.extend(row),
            None => groups.push(Group {
                name: run.workload.clone(),
                rows: row.into_iter().collect(),
                ..Group::default()
            }),
        }
    }
    let column = |(name, about): (&str, &'static str)| Column {
        name: name.to_owned(),
        about,
        is_text: false,
    };
    (!groups.is_empty()).then(|| Table {
        title: "Idle transports".to_owned(),
        group: "workload",
        columns: COLUMNS.map(column).into(),
        groups,
        notes: Vec::new(),
    })
}

fn row(run: &Run, windows: usize) -> Vec<Cell> {
    vec![
        run.subject.as_str().into(),
        Cell::figure(run.memory_kib.map(|kib| kib as f64), number::grouped),
        run.threads.to_string().into(),
        Cell::figure(run.wakeups_per_s, number::figure),
        windows.to_string().into(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::comparing::tests::run;

    #[test]
    fn idle_transports_have_a_table_and_others_have_none() {
        let busy = run("w", "leveret", 1.0, None);
        let idle = Run {
            memory_kib: Some(64),
            wakeups_per_s: Some(2.5),
            ..run("idle-1", "leveret", 0.0, None)
        };
        let mut results = Results { runs: vec![busy], ..Results::default() };
        assert!(table(&results).is_none());
        results.runs.extend([idle.clone(), idle]);
        let table = table(&results).expect("there is an idle run");
        assert_eq!((table.groups.len(), table.groups[0].rows.len()), (1, 1));
        let texts: Vec<&str> =
            table.groups[0].rows[0].iter().map(|cell| cell.text.as_str()).collect();
        assert_eq!(texts, ["leveret", "64", "1", "2.50", "2"]);
    }
}
