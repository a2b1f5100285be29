//! Workloads that differ by a number at the end of their names, as `callers-10` and `callers-100`.

use crate::report::rows::Row;

/// Fewer do not show how something grows.
const MEMBERS_MIN: usize = 3;

/// The rows of workloads of one name but for the number at its end.
pub(crate) struct Family<'a> {
    pub(crate) name: &'a str,
    /// In the order of the numbers.
    pub(crate) members: Vec<Member<'a>>,
}

/// A workload of a family.
pub(crate) struct Member<'a> {
    pub(crate) number: f64,
    /// The number as the name has it: `16k`.
    pub(crate) label: &'a str,
    /// Its rows, each with the number of its subject.
    pub(crate) rows: Vec<(usize, &'a Row)>,
}

/// All families among the rows, in the order of their first rows.
pub(crate) fn of<'a>(rows: &'a [Row], subjects: &[&str]) -> Vec<Family<'a>> {
    let mut families: Vec<Family<'a>> = Vec::new();
    for row in rows {
        let Some((name, label, number)) = split(&row.run.workload) else { continue };
        let at = families.iter().position(|family| family.name == name).unwrap_or_else(|| {
            families.push(Family { name, members: Vec::new() });
            families.len() - 1
        });
        let members = &mut families[at].members;
        let at = members.partition_point(|member| member.number < number);
        if members.get(at).is_none_or(|member| member.number > number) {
            members.insert(at, Member { number, label, rows: Vec::new() });
        }
        let subject = subjects.iter().position(|subject| *subject == row.run.subject);
        members[at].rows.push((subject.unwrap_or(0), row));
    }
    families.retain(|family| family.members.len() >= MEMBERS_MIN);
    families
}

/// Splits `size-16k` into `size`, `16k` and 16384.
fn split(workload: &str) -> Option<(&str, &str, f64)> {
    let (name, label) = workload.rsplit_once('-')?;
    let end = label.find(|c: char| !c.is_ascii_digit()).unwrap_or(label.len());
    let (digits, unit) = label.split_at(end);
    let factor = match unit {
        "" | "b" => 1.0,
        "k" => 1024.0,
        "m" => 1024.0 * 1024.0,
        _ => return None,
    };
    let number: f64 = digits.parse().ok()?;
    (number > 0.0).then_some((name, label, number * factor))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::rows;
    use crate::results::comparing::tests::run;
    use crate::results::document::Results;

    #[test]
    fn names_are_split_at_their_numbers() {
        assert_eq!(split("callers-1000"), Some(("callers", "1000", 1000.0)));
        assert_eq!(split("size-16k"), Some(("size", "16k", 16384.0)));
        assert_eq!(split("size-64b"), Some(("size", "64b", 64.0)));
        for alone in ["notify", "cast-sink", "x-4q", "x-", "x-0", "x-k"] {
            assert_eq!(split(alone), None, "{alone}");
        }
    }

    #[test]
    fn a_family_has_its_members_in_the_order_of_their_numbers() {
        let names = ["size-1k", "notify", "call-1", "size-64b", "size-1m", "call-5"];
        let mut runs: Vec<_> = names.map(|name| run(name, "a", 1.0, None)).into();
        runs.push(run("size-1k", "b", 2.0, None));
        let rows = rows::of(&Results { runs, ..Results::default() });
        let families = of(&rows, &["a", "b"]);
        assert_eq!(families.len(), 1, "two calls are too few");
        let members = &families[0].members;
        let labels: Vec<&str> = members.iter().map(|member| member.label).collect();
        assert_eq!((families[0].name, labels), ("size", vec!["64b", "1k", "1m"]));
        let subjects: Vec<usize> = members[1].rows.iter().map(|(number, _)| *number).collect();
        assert_eq!(subjects, [0, 1]);
    }
}
