//! A limit with a list of known excesses, which may only shrink.

use crate::Problem;

/// A limit on a number that each file or folder has.
#[derive(Clone, Copy)]
pub(crate) struct Ratchet {
    pub(crate) limit: usize,
    /// What is above the limit today, with its present number.
    pub(crate) known: &'static [(&'static str, usize)],
    /// The file that holds `known`.
    pub(crate) list: &'static str,
    /// What is counted, in the plural.
    pub(crate) unit: &'static str,
    /// What to do about too many, after a colon.
    pub(crate) advice: &'static str,
}

impl Ratchet {
    /// Holds the numbers of all files or folders against the limit and the list.
    pub(crate) fn check<'a>(
        &self,
        numbers: impl IntoIterator<Item = (&'a str, usize)>,
    ) -> Vec<Problem> {
        let Self { limit, known, list, unit, advice } = *self;
        let mut problems = Vec::new();
        let mut is_above = vec![false; known.len()];
        for (path, number) in numbers.into_iter().filter(|(_, number)| *number > limit) {
            let Some(index) = known.iter().position(|(one, _)| *one == path) else {
                let message = format!("{number} {unit}, more than {limit}: {advice}");
                problems.push(Problem::new(path, 1, message));
                continue;
            };
            is_above[index] = true;
            let allowed = known[index].1;
            if number > allowed {
                let message = format!(
                    "{number} {unit}, more than the {allowed} it had and than {limit}: {advice}"
                );
                problems.push(Problem::new(path, 1, message));
            } else if number < allowed {
                let message = format!("now {number} {unit}: write that number in {list}");
                problems.push(Problem::new(path, 1, message));
            }
        }
        let below = known.iter().zip(is_above).filter(|(_, is_above)| !is_above);
        problems.extend(below.map(|((path, _), _)| {
            let message = format!("no longer above {limit} {unit}: remove it from {list}");
            Problem::new(path, 1, message)
        }));
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATCHET: Ratchet = Ratchet {
        limit: 10,
        known: &[("a", 12), ("b", 15)],
        list: "known.rs",
        unit: "lines",
        advice: "split it",
    };

    fn messages(numbers: &[(&'static str, usize)]) -> Vec<String> {
        let problems = RATCHET.check(numbers.iter().copied()).into_iter();
        problems.map(|problem| format!("{}: {}", problem.path, problem.message)).collect()
    }

    #[test]
    fn what_is_below_the_limit_or_known_passes() {
        assert_eq!(messages(&[("a", 12), ("b", 15), ("c", 10), ("d", 0)]), [""; 0]);
    }

    #[test]
    fn what_is_above_the_limit_and_unknown_is_refused() {
        let new = "c: 11 lines, more than 10: split it";
        assert_eq!(messages(&[("a", 12), ("b", 15), ("c", 11)]), [new]);
    }

    #[test]
    fn what_is_known_may_not_grow() {
        let grown = "a: 13 lines, more than the 12 it had and than 10: split it";
        assert_eq!(messages(&[("a", 13), ("b", 15)]), [grown]);
    }

    #[test]
    fn the_list_follows_what_has_shrunk() {
        assert_eq!(
            messages(&[("a", 11), ("b", 10)]),
            [
                "a: now 11 lines: write that number in known.rs",
                "b: no longer above 10 lines: remove it from known.rs",
            ]
        );
        assert_eq!(
            messages(&[("a", 12)]),
            ["b: no longer above 10 lines: remove it from known.rs"]
        );
    }
}
