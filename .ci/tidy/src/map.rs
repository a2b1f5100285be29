//! The map in ARCHITECTURE.md: every path that it names exists.
//!
//! The first column of its rows names folders and files from the root, the others name files and
//! folders below that, without the way to them.

use crate::Problem;

pub(crate) const FILE: &str = "ARCHITECTURE.md";

/// Checks the rows of tables in `text`, which is the text of [`FILE`], against all paths.
pub(crate) fn check(text: &str, paths: &[String]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let Some(row) = line.strip_prefix("| ").filter(|row| row.starts_with('`')) else {
            continue;
        };
        let Some((first, rest)) = row.split_once(" | ") else { continue };
        let roots: Vec<&str> = names(first).collect();
        for root in roots.iter().flat_map(|root| alternatives(root)) {
            if !paths.iter().any(|path| is_at(path, &root)) {
                let message = format!("names `{root}`, which does not exist: correct the row");
                problems.push(Problem::new(FILE, index + 1, message));
            }
        }
        for name in names(rest).filter(|name| is_path(name)) {
            let is_below = |path: &&String| {
                let mut roots = roots.iter().flat_map(|root| alternatives(root));
                roots.any(|root| is_at(path, &root) && is_part(path, name))
            };
            if !paths.iter().any(|path| is_below(&path)) {
                let message = format!("names `{name}`, which is not there: correct the row");
                problems.push(Problem::new(FILE, index + 1, message));
            }
        }
    }
    problems
}

/// The texts in backticks.
fn names(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// A path with braces, written out: `a/{b,c}/` is `a/b/` and `a/c/`.
fn alternatives(path: &str) -> Vec<String> {
    let Some((before, rest)) = path.split_once('{') else { return vec![path.to_owned()] };
    let Some((inside, after)) = rest.split_once('}') else { return vec![path.to_owned()] };
    inside.split(',').map(|one| format!("{before}{one}{after}")).collect()
}

fn is_at(path: &str, root: &str) -> bool {
    match root.split_once('*') {
        Some((before, after)) => {
            path.strip_prefix(before).is_some_and(|rest| rest.ends_with(after))
        }
        None => path == root || root.ends_with('/') && path.starts_with(root),
    }
}

/// Whether a text is the name of a file or a folder; a URL is neither.
fn is_path(name: &str) -> bool {
    !name.contains(':') && (name.ends_with(".rs") || name.ends_with('/'))
}

/// Whether `name`, a file or a folder, is on the way of `path`.
fn is_part(path: &str, name: &str) -> bool {
    match name.strip_suffix('/') {
        Some(folder) => format!("/{path}").contains(&format!("/{folder}/")),
        None => format!("/{path}").ends_with(&format!("/{name}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(row: &str) -> Vec<String> {
        let paths = ["engine/src/wire/frame.rs", "engine/src/lib.rs", "driver/src/b/c/mod.rs"];
        check(row, &paths.map(str::to_owned)).into_iter().map(|problem| problem.message).collect()
    }

    #[test]
    fn rows_that_name_what_exists_pass() {
        for row in [
            "| `engine/src/wire/` | frames (`frame.rs`) by hand |",
            "| `engine/src/*.rs` | plain data |",
            "| `driver/src/b/` | a folder (`c/`) |",
            "| `driver/src/b/`, `engine/src/lib.rs` | two |",
            "| `driver/src/{b}/` | the type `RpcServer` |",
            "no row names `nothing.rs`",
        ] {
            assert_eq!(messages(row), [""; 0], "{row}");
        }
    }

    #[test]
    fn what_is_not_there_is_named() {
        let gone = "names `engine/src/gone/`, which does not exist: correct the row";
        assert_eq!(messages("| `engine/src/gone/` | gone |"), [gone]);
        let elsewhere = "names `mod.rs`, which is not there: correct the row";
        assert_eq!(messages("| `engine/src/wire/` | elsewhere (`mod.rs`) |"), [elsewhere]);
        let folder = "names `d/`, which is not there: correct the row";
        assert_eq!(messages("| `driver/src/b/` | no folder (`d/`) |"), [folder]);
    }
}
