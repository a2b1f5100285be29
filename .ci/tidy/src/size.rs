//! How long files and lines are, and how each file begins.

use crate::Problem;
use crate::source::Source;
use crate::tree::Text;

/// Lines of code in a file, tests, comments and blank lines apart. A file is meant to have 100
/// to 400; the slack keeps a rename from becoming a split.
const FILE_CODE_MAX: usize = 420;
/// Characters of a line; what rustfmt keeps to where it can.
const LINE_MAX: usize = 100;

pub(crate) fn check_source(file: &Source) -> Vec<Problem> {
    let code = file.program().filter(|(_, line)| !line.trim().is_empty()).count();
    if code <= FILE_CODE_MAX {
        return Vec::new();
    }
    let message = format!("{code} lines of code, more than {FILE_CODE_MAX}: split it by concern");
    vec![Problem::new(&file.path, 1, message)]
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
        let message = "opens with `//!`: what it is, its invariant, what it does not do";
        problems.push(Problem::new(&file.path, 1, message));
    }
    for (index, line) in file.text.lines().enumerate() {
        let length = line.chars().count();
        if length > LINE_MAX {
            let message = format!("{length} characters, more than {LINE_MAX}");
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
    fn tests_comments_and_blank_lines_do_not_count() {
        let body = "// comment\n\n".repeat(500)
            + &"let x = 1;\n".repeat(FILE_CODE_MAX)
            + "#[cfg(test)]\nmod tests {\n"
            + &"let y = 1;\n".repeat(500)
            + "}\n";
        assert_eq!(check_source(&Source::new("engine/src/a.rs", &body)), []);
        let longer = format!("let z = 1;\n{body}");
        assert_eq!(check_source(&Source::new("engine/src/a.rs", &longer)).len(), 1);
    }

    #[test]
    fn a_file_opens_with_its_header_and_keeps_its_lines_short() {
        assert_eq!(text("a.rs", "//! A file.\n"), []);
        assert_eq!(text("a.rs", "use a;\n").len(), 1);
        let long = format!("//! A file.\n// {}\n", "x".repeat(98));
        assert_eq!(text("a.rs", &long), [Problem::new("a.rs", 2, "101 characters, more than 100")]);
        assert_eq!(text("a.md", &long), []);
    }
}
