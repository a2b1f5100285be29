//! Circles of files that use each other, inside of a folder or across folders.
//!
//! A re-export is not a use; a use of a re-exported item is one of the file that defines it. Not
//! here: which folder may import which (`arrows`).

use std::collections::{BTreeMap, BTreeSet};

use crate::Problem;
use crate::modules::{Modules, Uses};

pub(crate) fn check(crates: &[Modules]) -> Vec<Problem> {
    let mut circles = Vec::new();
    for modules in crates {
        let uses = modules.uses();
        circles.extend(find(&uses).into_iter().map(|files| Circle::new(files, &uses)));
    }
    circles.iter().map(Circle::problem).collect()
}

struct Circle {
    files: BTreeSet<String>,
    /// Which file uses which names of which other.
    ties: String,
}

impl Circle {
    fn new(files: BTreeSet<String>, uses: &Uses) -> Self {
        let inside =
            uses.iter().filter(|((from, to), _)| files.contains(from) && files.contains(to));
        let tie = |((from, to), names): (&(String, String), &BTreeSet<String>)| {
            let names = names.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            format!("\n    {from} uses {names} of {to}")
        };
        let ties = inside.map(tie).collect();
        Self { files, ties }
    }

    fn problem(&self) -> Problem {
        let first = self.files.first().map_or("", String::as_str);
        let message = format!(
            "a circle of {} files: move what one of them uses to a file below both{}",
            self.files.len(),
            self.ties
        );
        Problem::new(first, 1, message)
    }
}

/// The groups of files that reach each other.
fn find(uses: &Uses) -> Vec<BTreeSet<String>> {
    let mut direct: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (from, to) in uses.keys() {
        direct.entry(from).or_default().push(to);
    }
    let reached = |start: &str| {
        let mut reached = BTreeSet::new();
        let mut waiting = direct.get(start).cloned().unwrap_or_default();
        while let Some(file) = waiting.pop() {
            if reached.insert(file) {
                waiting.extend(direct.get(file).into_iter().flatten());
            }
        }
        reached
    };
    let reach: BTreeMap<&str, BTreeSet<&str>> =
        direct.keys().map(|file| (*file, reached(file))).collect();
    let mut circles = BTreeSet::new();
    for (file, others) in &reach {
        let back = |other: &&&str| reach.get(**other).is_some_and(|theirs| theirs.contains(file));
        let circle: BTreeSet<String> =
            others.iter().filter(back).map(ToString::to_string).collect();
        if circle.contains(*file) {
            circles.insert(circle);
        }
    }
    circles.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uses(pairs: &[(&str, &str)]) -> Uses {
        let tied = |(from, to): &(&str, &str)| {
            (((*from).to_owned(), (*to).to_owned()), BTreeSet::from(["X".to_owned()]))
        };
        pairs.iter().map(tied).collect()
    }

    fn circles(pairs: &[(&str, &str)]) -> Vec<Circle> {
        let uses = uses(pairs);
        find(&uses).into_iter().map(|files| Circle::new(files, &uses)).collect()
    }

    #[test]
    fn files_that_reach_each_other_are_a_circle() {
        let found = circles(&[("a", "b"), ("b", "c"), ("c", "a"), ("c", "d"), ("e", "f")]);
        let files: Vec<_> = found.iter().map(|circle| &circle.files).collect();
        assert_eq!(files, [&["a", "b", "c"].map(str::to_owned).into()]);
        assert!(found[0].ties.contains("a uses X of b") && !found[0].ties.contains("of d"));
    }

    #[test]
    fn a_circle_names_its_files_and_what_ties_them() {
        let problem = circles(&[("a", "b"), ("b", "a"), ("b", "c")])[0].problem();
        assert_eq!(problem.path, "a");
        assert!(problem.message.starts_with("a circle of 2 files"), "{}", problem.message);
        assert!(problem.message.contains("b uses X of a"), "{}", problem.message);
        assert!(circles(&[("a", "b"), ("b", "c")]).is_empty());
    }
}
