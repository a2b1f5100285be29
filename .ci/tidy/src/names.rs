//! Names that say nothing. A type, function or module is named for what it is or does.

use crate::Problem;
use crate::source::{Source, words};

/// Last words of a name that only say "some code".
const EMPTY_ENDINGS: &[&str] =
    &["Manager", "Helper", "Util", "Utils", "Handler", "Wrapper", "Info", "Base", "Impl"];
/// Modules that may hold anything.
const VAGUE_MODULES: &[&str] = &["util", "utils", "helper", "helpers", "common", "misc"];
const TYPES: &[&str] = &["struct", "enum", "union", "trait", "type"];

pub(crate) fn check(file: &Source) -> Vec<Problem> {
    let mut problems = Vec::new();
    let path = file.path.trim_end_matches(".rs").trim_end_matches("/mod");
    if path.split('/').any(|part| VAGUE_MODULES.contains(&part)) {
        problems.push(Problem::new(
            &file.path,
            1,
            "the module may hold anything: name it for what it holds",
        ));
    }
    for (number, line) in file.all() {
        let line_words: Vec<&str> = words(line).map(|(_, word)| word).collect();
        for pair in line_words.windows(2) {
            if let Some(message) = objection(pair[0], pair[1]) {
                problems.push(Problem::new(&file.path, number, message));
            }
        }
    }
    problems
}

/// What is wrong with calling an item of this keyword by this name.
fn objection(keyword: &str, name: &str) -> Option<String> {
    let empty = |last: &str| EMPTY_ENDINGS.iter().any(|ending| ending.eq_ignore_ascii_case(last));
    let wrong = if TYPES.contains(&keyword) {
        EMPTY_ENDINGS.iter().any(|ending| name.ends_with(ending))
    } else if keyword == "fn" {
        empty(name.rsplit('_').next().unwrap_or(name))
    } else if keyword == "mod" {
        VAGUE_MODULES.contains(&name)
    } else {
        false
    };
    wrong.then(|| format!("`{keyword} {name}` says nothing: name it for what it is or does"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> usize {
        check(&Source::new("engine/src/a.rs", text)).len()
    }

    #[test]
    fn names_that_say_nothing_are_refused() {
        for text in [
            "pub struct ConnectionManager;",
            "pub(crate) trait Handler {}",
            "enum MachineInfo {}",
            "type SocketWrapper = u8;",
            "fn encode_impl() {}",
            "fn utils() {}",
            "mod helpers;",
        ] {
            assert_eq!(problems(text), 1, "{text}");
        }
        assert_eq!(check(&Source::new("engine/src/util.rs", "")).len(), 1);
        assert_eq!(check(&Source::new("driver/src/common/mod.rs", "")).len(), 1);
    }

    #[test]
    fn names_that_say_something_pass() {
        for text in [
            "struct Database;",
            "fn handle_input() {}",
            "impl Handler for X {}",
            "struct Utilisation;",
            "mod ledger;",
            "// struct Manager",
        ] {
            assert_eq!(problems(text), 0, "{text}");
        }
    }
}
