//! How long files and lines are, and how each file begins.

mod known;

use crate::Problem;
use crate::ratchet::Ratchet;
use crate::source::Source;
use crate::tree::Text;

/// Lines of code in a Rust file, tests included; blank lines and comments do not count.
const FILE_CODE: Ratchet = Ratchet {
    limit: 400,
    known: known::LONG_FILES,
    list: ".ci/tidy/src/size/known.rs",
    unit: "lines of code",
    advice: "split the file, one idea per file",
};
/// Characters of a line; what rustfmt keeps to where it can.
const LINE_MAX: usize = 100;

pub(crate) fn check_sources(files: &[Source]) -> Vec<Problem> {
    FILE_CODE.check(files.iter().map(|file| (file.path.as_str(), lines_of_code(file))))
}

fn lines_of_code(file: &Source) -> usize {
    file.all().filter(|(_, line)| !line.trim().is_empty()).count()
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
        let long = "let x = 1;\n".repeat(FILE_CODE.limit + 1);
        let short = &long[11..];
        let ratchet = Ratchet { known: &[], ..FILE_CODE };
        for path in ["engine/src/a.rs", "driver/tests/it/a.rs", "benches/a.rs", ".ci/tidy/src/a.rs"]
        {
            let problems =
                |text: &str| ratchet.check([(path, lines_of_code(&Source::new(path, text)))]).len();
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
}
