//! The table of comparisons: ratios with their intervals and what they say.

use crate::report::number::{self, DASH};
use crate::report::tables::table::{Cell, Column, Group, Table, column};
use crate::results::comparison::{Comparison, Estimate};

/// Stands behind a name where the two promise different things.
pub(crate) const OTHER_PROMISES: &str = "≠";

/// What the mark means.
pub(crate) const OTHER_PROMISES_NOTE: &str = "≠ the two promise different things for a message \
    (columns C, A, M and P of the runs), so the ratio does not compare like with like.";

pub(crate) fn table(comparisons: &[Comparison]) -> Table {
    let mut groups: Vec<Group> = Vec::new();
    for one in comparisons {
        let cells = cells(one);
        match groups.iter_mut().find(|group| group.name == one.workload) {
            Some(group) => group.rows.push(cells),
            None => groups.push(Group {
                name: one.workload.clone(),
                about: String::new(),
                rows: vec![cells],
            }),
        }
    }
    let names = ["against", "rate", "CPU", "p50", "p99", "p99.9", "blocks"];
    let subject = comparisons.first().map_or("", |one| one.subject.as_str());
    let mut notes = vec![
        "A ratio is the typical one of blocks of interleaved windows (the median of the means of \
         all pairs), with its 95 % interval. Rate above 1 is faster; CPU time of the client and \
         latencies below 1 are faster."
            .to_owned(),
        "– not measured, or a percentile of one of the two rests on too few messages.".to_owned(),
        "Same: no difference, or less than the tool claims to tell. Unclear: the interval is too \
         wide, or there are too few blocks."
            .to_owned(),
    ];
    if comparisons.iter().any(|one| !one.same_promises) {
        notes.push(OTHER_PROMISES_NOTE.to_owned());
    }
    Table {
        title: format!("Ratios of {subject} to the others"),
        group: "workload",
        columns: names.map(|name| Column { is_text: name != "blocks", ..column(name) }).into(),
        groups,
        notes,
    }
}

fn cells(one: &Comparison) -> Vec<Cell> {
    let mut cells: Vec<Cell> = vec![against(one).into()];
    cells.extend([one.rate, one.cpu, one.p50, one.p99, one.p999].map(estimate));
    cells.push(one.blocks.to_string().into());
    cells
}

/// The other's name, with the mark of other promises.
pub(crate) fn against(one: &Comparison) -> String {
    if one.same_promises {
        one.against.clone()
    } else {
        format!("{} {OTHER_PROMISES}", one.against)
    }
}

fn estimate(value: Option<Estimate>) -> Cell {
    let Some(Estimate { ratio, low, high, verdict }) = value else { return DASH.into() };
    let [ratio, low, high] = [ratio, low, high].map(number::figure);
    Cell { text: format!("{ratio} [{low}, {high}] {}", verdict.word()), verdict: Some(verdict) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::comparison::Verdict;

    #[test]
    fn ratios_have_intervals_words_and_marks() {
        let rate = Some(Estimate { ratio: 1.25, low: 1.2, high: 1.3, verdict: Verdict::Faster });
        let one = Comparison {
            workload: "call-1".to_owned(),
            subject: "leveret".to_owned(),
            against: "raw".to_owned(),
            blocks: 7,
            same_promises: true,
            rate,
            ..Comparison::default()
        };
        let other = Comparison { same_promises: false, against: "lapin".to_owned(), ..one.clone() };
        let table = table(&[one.clone(), other]);
        let rows = &table.groups[0].rows;
        assert_eq!(rows[0][1].text, "1.25 [1.20, 1.30] faster");
        assert_eq!(rows[0][1].verdict, Some(Verdict::Faster));
        assert_eq!((rows[0][2].text.as_str(), rows[0][6].text.as_str()), ("–", "7"));
        assert_eq!((rows[0][0].text.as_str(), rows[1][0].text.as_str()), ("raw", "lapin ≠"));
        assert!(table.notes.iter().any(|note| note == OTHER_PROMISES_NOTE));
        let alike = super::table(&[one]);
        assert!(!alike.notes.iter().any(|note| note == OTHER_PROMISES_NOTE));
    }
}
