//! How long files and lines are, how many modules a folder has, and how each file begins.

use std::collections::{BTreeMap, BTreeSet};

use crate::Problem;
use crate::source::Source;
use crate::tree::Text;

/// A limit on a number that each file or folder has.
#[derive(Clone, Copy)]
struct Limit {
    max: usize,
    /// What is counted, in the plural.
    unit: &'static str,
    /// What to do about too many.
    advice: &'static str,
}

/// Lines of code in a Rust file, tests included; blank lines and comments do not count.
const FILE_CODE: Limit =
    Limit { max: 400, unit: "lines of code", advice: "split the file, one idea per file" };
/// Modules that stand side by side in a folder below `src`.
const FOLDER_MODULES: Limit = Limit {
    max: 14,
    unit: "modules side by side",
    advice: "group them in folders by what they do",
};
/// Files and folders below `src` that are no module beside others.
const NO_SIBLINGS: &[&str] = &["bin", "fuzzing", "lib", "main", "mod", "tests"];
/// Characters of a line; what rustfmt keeps to where it can.
const LINE_MAX: usize = 100;

impl Limit {
    /// The files or folders whose numbers are above the limit.
    fn check<'a>(self, numbers: impl IntoIterator<Item = (&'a str, usize)>) -> Vec<Problem> {
        let Self { max, unit, advice } = self;
        let above = numbers.into_iter().filter(|(_, number)| *number > max);
        let problem = |(path, number): (&str, usize)| {
            Problem::new(path, 1, format!("{number} {unit}, more than {max}: {advice}"))
        };
        above.map(problem).collect()
    }
}

pub(crate) fn check_sources(files: &[Source]) -> Vec<Problem> {
    FILE_CODE.check(files.iter().map(|file| (file.path.as_str(), lines_of_code(file))))
}

fn lines_of_code(file: &Source) -> usize {
    file.all().filter(|(_, line)| !line.trim().is_empty()).count()
}

pub(crate) fn check_folders(paths: &[String]) -> Vec<Problem> {
    let folders = modules_by_folder(paths);
    FOLDER_MODULES.check(folders.iter().map(|(folder, modules)| (*folder, modules.len())))
}

/// The modules that stand directly in each folder, as files or as folders.
fn modules_by_folder(paths: &[String]) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut folders: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for path in paths.iter().filter_map(|path| path.strip_suffix(".rs")) {
        let Some(source) = path.find("/src/") else { continue };
        let first = source + "/src/".len();
        let ends = path[first..].match_indices('/').map(|(at, _)| first + at).chain([path.len()]);
        let mut start = first;
        for end in ends {
            let name = &path[start..end];
            if !NO_SIBLINGS.contains(&name) {
                folders.entry(&path[..start - 1]).or_default().insert(name);
            }
            start = end + 1;
        }
    }
    folders
}

pub(crate) fn check_text(file: &Text) -> Vec<Problem> {
    let rust = file.path.ends_with(".rs");
    let script = file.path.ends_with(".py")
        || file.path.ends_with(".erl")
        || file.text.starts_with("#!/usr/bin/env bash");
    if !rust && !script {
        return Vec::new();
    }
    let mut problems = Vec::new();
    if rust && !file.text.starts_with("//!") {
        let message =
            "has no header: begin it with `//!` and what the file is, does and leaves out";
        problems.push(Problem::new(&file.path, 1, message));
    }
    for (index, line) in file.text.lines().enumerate() {
        let length = line.chars().count();
        if length > LINE_MAX {
            let message = format!("{length} characters, more than {LINE_MAX}: break the line");
            problems.push(Problem::new(&file.path, index + 1, message));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Limit = Limit { max: 10, unit: "lines", advice: "split it" };

    #[test]
    fn what_is_below_the_limit_passes() {
        assert_eq!(LIMIT.check([("a", 10), ("b", 0)]), []);
    }

    #[test]
    fn what_is_above_the_limit_is_refused() {
        let message = "11 lines, more than 10: split it";
        assert_eq!(LIMIT.check([("a", 11), ("b", 10)]), [Problem::new("a", 1, message)]);
    }

    fn text(path: &str, text: &str) -> Vec<Problem> {
        check_text(&Text { path: path.to_owned(), text: text.to_owned() })
    }

    #[test]
    fn comments_and_blank_lines_do_not_count_and_tests_do() {
        let text = "//! Doc.\n\n/// Doc.\nfn a() {} // end\n/* a\n b */\n    // comment\n\
                    #[cfg(test)]\nmod tests {\n    const A: &str = \"//\";\n}\n";
        assert_eq!(lines_of_code(&Source::new("engine/src/a.rs", text)), 5);
        assert_eq!(lines_of_code(&Source::new("engine/tests/it/a.rs", text)), 5);
    }

    #[test]
    fn long_files_are_refused_wherever_they_are() {
        let long = "let x = 1;\n".repeat(FILE_CODE.max + 1);
        let short = &long[11..];
        for path in ["engine/src/a.rs", "driver/tests/it/a.rs", "benches/a.rs", ".ci/tidy/src/a.rs"]
        {
            let problems = |text: &str| {
                FILE_CODE.check([(path, lines_of_code(&Source::new(path, text)))]).len()
            };
            assert_eq!((problems(&long), problems(short)), (1, 0), "{path}");
        }
    }

    #[test]
    fn a_file_opens_with_its_header_and_keeps_its_lines_short() {
        assert_eq!(text("a.rs", "//! A file.\n"), []);
        assert_eq!(text("a.rs", "use a;\n").len(), 1);
        let long = format!("//! A file.\n// {}\n", "x".repeat(98));
        assert_eq!(
            text("a.rs", &long),
            [Problem::new("a.rs", 2, "101 characters, more than 100: break the line")]
        );
        assert_eq!(text("a.md", &long), []);
    }

    #[test]
    fn modules_of_a_folder_are_counted_once() {
        let paths = [
            "engine/src/lib.rs",
            "engine/src/bin/a.rs",
            "engine/src/wire.rs",
            "engine/src/shard/mod.rs",
            "engine/src/shard/border/mod.rs",
            "engine/src/shard/border/slab.rs",
            "engine/src/shard/border/tests.rs",
            "engine/src/shard/run.rs",
            "engine/src/shard/page.md",
            "engine/tests/it/main.rs",
        ]
        .map(str::to_owned);
        let found: Vec<String> = modules_by_folder(&paths)
            .into_iter()
            .map(|(folder, modules)| format!("{folder} {modules:?}"))
            .collect();
        assert_eq!(
            found,
            [
                "engine/src {\"shard\", \"wire\"}",
                "engine/src/bin {\"a\"}",
                "engine/src/shard {\"border\", \"run\"}",
                "engine/src/shard/border {\"slab\"}",
            ]
        );
    }

    #[test]
    fn full_folders_are_refused() {
        let paths = |count: usize| -> Vec<String> {
            (0..count).map(|n| format!("benches/src/m{n}.rs")).collect()
        };
        let messages = |count| -> Vec<String> {
            let problems = check_folders(&paths(count)).into_iter();
            let own = problems.filter(|problem| problem.path == "benches/src");
            own.map(|problem| problem.message).collect()
        };
        assert_eq!(messages(14), [""; 0]);
        let message =
            "15 modules side by side, more than 14: group them in folders by what they do";
        assert_eq!(messages(15), [message]);
    }
}
