//! Words that may not stand where they stand.
//!
//! The protocol folders know no sockets, clocks or threads; `unsafe` lives in a few rooms; no
//! file keeps unfinished work or the path of somebody's machine. Patterns are put together at
//! run time where the checker would otherwise find itself. Not here: imports (`arrows`).

use crate::Problem;
use crate::source::{Source, words};
use crate::tree::Text;

/// Folders that are told the time and handed bytes.
const PURE: &[&str] = &["engine/src/wire", "engine/src/proto", "driver/src/dialect"];
const IMPURE: &[&str] = &["std::net", "io_uring", "Instant::now", "std::thread", "thread::"];

/// Where `unsafe` may stand: folders and files by their beginning, files by their end.
const UNSAFE_UNDER: &[&str] =
    &["engine/src/buffer/", "engine/src/reactor/", "engine/tests/", "driver/tests/memory/alloc.rs"];
const UNSAFE_FILES: (&str, &[&str]) = ("perf/src/", &["/sys.rs", "/alloc.rs"]);

/// Folders of machines; a path below one of them means nothing on another machine.
const MACHINE_FOLDERS: &[&str] = &["root", "home", "work"];

/// Text files whose words are not ours.
const FOREIGN: &[&str] = &["Cargo.lock", "LICENSE"];

pub(crate) fn check_source(file: &Source) -> Vec<Problem> {
    let mut problems = Vec::new();
    let path = file.path.as_str();
    if PURE.iter().any(|folder| is_under(path, folder)) {
        for (number, line) in file.program() {
            for word in IMPURE.iter().filter(|word| holds_path(line, word)) {
                let message = format!("`{word}` in a folder without sockets, clocks and threads");
                problems.push(Problem::new(path, number, message));
            }
        }
    }
    for (number, line) in file.all() {
        let in_test = path.starts_with("engine/") && file.test[number - 1];
        if !in_test && !unsafe_may_stand_in(path) && words(line).any(|(_, w)| w == "unsafe") {
            problems.push(Problem::new(path, number, "`unsafe` outside the rooms meant for it"));
        }
    }
    problems
}

/// `folder` itself as a file (`x.rs`) or anything below it.
fn is_under(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

fn unsafe_may_stand_in(path: &str) -> bool {
    let (folder, files) = UNSAFE_FILES;
    UNSAFE_UNDER.iter().any(|prefix| path.starts_with(prefix))
        || (path.starts_with(folder) && files.iter().any(|file| path.ends_with(file)))
}

/// Whether `path` stands in the line with no identifier running on at either side of it.
fn holds_path(line: &str, path: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let ends_open = path.ends_with(':');
    line.match_indices(path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + path.len()..].chars().next();
        !before.is_some_and(is_word) && (ends_open || !after.is_some_and(is_word))
    })
}

pub(crate) fn check_text(file: &Text) -> Vec<Problem> {
    if FOREIGN.contains(&file.path.as_str()) {
        return Vec::new();
    }
    let unfinished = [
        concat!("to", "do!("),
        concat!("unimple", "mented!("),
        concat!("#[", "ignore"),
        concat!("FIX", "ME"),
        concat!("X", "XX"),
    ];
    let mut problems = Vec::new();
    for (index, line) in file.text.lines().enumerate() {
        for word in unfinished.iter().filter(|word| holds_word(line, word)) {
            let message = format!("`{word}` is unfinished work");
            problems.push(Problem::new(&file.path, index + 1, message));
        }
        for folder in MACHINE_FOLDERS.iter().filter(|folder| holds_folder(line, folder)) {
            let message = format!("a path under /{folder} means nothing on another machine");
            problems.push(Problem::new(&file.path, index + 1, message));
        }
    }
    problems
}

/// Whether `word` stands in the line by itself, where it begins or ends with a letter.
fn holds_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
    })
}

/// Whether an absolute path below `/folder/` begins in the line.
fn holds_folder(line: &str, folder: &str) -> bool {
    let pattern = format!("/{folder}/");
    line.match_indices(&pattern).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "_-./~$}*".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> usize {
        check_source(&Source::new(path, text)).len()
    }

    fn text(line: &str) -> usize {
        check_text(&Text { path: "README.md".to_owned(), text: line.to_owned() }).len()
    }

    #[test]
    fn protocol_folders_know_no_sockets_clocks_or_threads() {
        for line in ["use std::net::TcpStream;", "let t = Instant::now();", "thread::spawn(f);"] {
            assert_eq!(source("engine/src/proto/a.rs", line), 1, "{line}");
            assert_eq!(source("engine/src/reactor/a.rs", line), 0, "{line}");
        }
        let tested = "#[cfg(test)]\nmod tests {\n    use std::thread;\n}\n// std::net\n";
        assert_eq!(source("driver/src/dialect/a.rs", tested), 0);
        assert_eq!(source("driver/src/dialect/a.rs", "let my_thread = 1;"), 0);
    }

    #[test]
    fn unsafe_lives_in_a_few_rooms() {
        let line = "unsafe { f() }";
        for path in ["engine/src/proto/a.rs", "driver/src/lib.rs", "perf/src/main.rs"] {
            assert_eq!(source(path, line), 1, "{path}");
        }
        for path in ["engine/src/buffer/pool.rs", "perf/src/sys.rs", "engine/tests/it/main.rs"] {
            assert_eq!(source(path, line), 0, "{path}");
        }
        assert_eq!(source("driver/src/lib.rs", "#![deny(unsafe_code)] // unsafe"), 0);
    }

    #[test]
    fn unfinished_work_and_machine_paths_are_found_in_any_text() {
        for line in [
            concat!("to", "do!(\"later\")"),
            concat!("#[", "ignore = \"slow\"]"),
            concat!("// FIX", "ME: later"),
            concat!("see /ho", "me/me/notes"),
            concat!("`/wo", "rk/x`"),
        ] {
            assert_eq!(text(line), 1, "{line}");
        }
        for line in ["mktemp /tmp/a.XXXXXX", "src/root/mod.rs", "https://x.org/home/", "rooted"] {
            assert_eq!(text(line), 0, "{line}");
        }
    }
}
