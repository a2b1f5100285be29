//! The comparisons that a report states: those whose percentiles rest on enough messages.

use crate::report::figure::Figure;
use crate::report::rows::Row;
use crate::results::comparison::Comparison;

/// The comparisons, each without the ratios that one of its two rows cannot state.
pub(crate) fn stated(all: &[Comparison], rows: &[Row]) -> Vec<Comparison> {
    let of = |one: &Comparison| {
        let is_its = |row: &&Row| {
            let subject = &row.run.subject;
            row.run.workload == one.workload && (*subject == one.subject || *subject == one.against)
        };
        let both: Vec<&Row> = rows.iter().filter(is_its).collect();
        let lacks = |figure: Figure| both.iter().any(|row| figure.lacks_messages(row));
        Comparison {
            p50: one.p50.filter(|_| !lacks(Figure::P50)),
            p99: one.p99.filter(|_| !lacks(Figure::P99)),
            p999: one.p999.filter(|_| !lacks(Figure::P999)),
            ..one.clone()
        }
    };
    all.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::rows;
    use crate::results::comparing::tests::run;
    use crate::results::comparison::{Estimate, Verdict};
    use crate::results::document::Results;

    #[test]
    fn both_need_enough_messages_for_a_ratio() {
        let ratio = Some(Estimate { ratio: 2.0, low: 1.9, high: 2.1, verdict: Verdict::Slower });
        let one = Comparison {
            workload: "w".to_owned(),
            subject: "a".to_owned(),
            against: "b".to_owned(),
            rate: ratio,
            p99: ratio,
            p999: ratio,
            ..Comparison::default()
        };
        let runs = vec![run("w", "a", 20_000.0, None), run("w", "b", 5000.0, None)];
        let rows = rows::of(&Results { runs, ..Results::default() });
        let stated = stated(std::slice::from_ref(&one), &rows);
        assert_eq!(stated, [Comparison { p999: None, ..one }]);
    }
}
