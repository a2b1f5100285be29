//! Names of dialects, which only a few folders of the driver know.
//!
//! Outside of them neither an identifier nor a string holds `kombu`, `pika` or `Dialect` as one of
//! its words: the code asks `dialect` for an answer instead of asking which dialect there is.
//! Comments and tests may name what they like, and a few lines of metrics do. Not here: imports
//! (`arrows`).

use crate::Problem;
use crate::source::Source;

const FOLDER: &str = "driver/src/";
/// Where dialects may be named, below [`FOLDER`].
const EXEMPT: &[&str] = &["dialect/", "config/", "fuzzing/", "guide/", "bin/", "lib.rs"];

/// Words of names and strings, whatever their case.
const DIALECTS: &[&str] = &["kombu", "pika"];
/// The word of types that tell dialects apart; `dialect`, the module, may be named.
const TYPE_WORD: &str = "Dialect";

/// The files with the public fields and labels of metrics that are named after a dialect
/// (`of_kombu`, `of_pika`). Users read these names, so they stay.
const METRICS_FILES: &[&str] = &[
    "driver/src/observe/intake.rs",
    "driver/src/observe/metrics.rs",
    "driver/src/observe/prometheus.rs",
];
/// How many lines of [`METRICS_FILES`] together may name a dialect.
const METRICS_LINES: usize = 9;

pub(crate) fn check(sources: &[Source]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for file in sources.iter().filter(|file| is_checked(&file.path)) {
        problems.extend(naming_lines(file).map(|line| {
            let message = "names a dialect: let `driver/src/dialect` answer the question instead";
            Problem::new(&file.path, line, message)
        }));
    }
    problems.extend(check_metrics(sources, METRICS_FILES, METRICS_LINES));
    problems
}

fn is_checked(path: &str) -> bool {
    path.strip_prefix(FOLDER).is_some_and(|below| {
        !EXEMPT.iter().any(|one| below.starts_with(one)) && !METRICS_FILES.contains(&path)
    })
}

/// Holds the lines of the files of metrics against their limit.
fn check_metrics(sources: &[Source], files: &[&str], limit: usize) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut count = 0;
    for path in files {
        if let Some(file) = sources.iter().find(|file| file.path == *path) {
            count += naming_lines(file).count();
        } else {
            let message = "does not exist: correct its name in .ci/tidy/src/dialects.rs";
            problems.push(Problem::new(path, 1, message));
        }
    }
    if count > limit {
        let message = format!(
            "{count} lines of {} name a dialect, more than {limit}: only public fields and labels \
             of metrics may, on as few lines as possible",
            files.join(", ")
        );
        problems.push(Problem::new(files[0], 1, message));
    }
    problems
}

/// The numbers of the lines outside of tests that name a dialect.
fn naming_lines(file: &Source) -> impl Iterator<Item = usize> {
    let lines = file.uncommented.iter().zip(&file.test).enumerate();
    lines.filter(|(_, (line, is_test))| !**is_test && names_dialect(line)).map(|(at, _)| at + 1)
}

fn names_dialect(line: &str) -> bool {
    line.split(|c: char| !c.is_alphanumeric()).flat_map(camel_words).any(|word| {
        word == TYPE_WORD || DIALECTS.iter().any(|dialect| word.eq_ignore_ascii_case(dialect))
    })
}

/// The words of a name in camel case: `PikaURLs` is `Pika` and `URLs`.
fn camel_words(name: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut start = 0;
    let chars: Vec<(usize, char)> = name.char_indices().collect();
    for (index, &(at, this)) in chars.iter().enumerate().skip(1) {
        let after_lower = !chars[index - 1].1.is_uppercase();
        let before_lower = chars.get(index + 1).is_some_and(|(_, next)| next.is_lowercase());
        if this.is_uppercase() && (after_lower || before_lower) {
            words.push(&name[start..at]);
            start = at;
        }
    }
    words.push(&name[start..]);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(path: &str, text: &str) -> usize {
        naming_lines(&Source::new(path, text)).count()
    }

    #[test]
    fn names_and_strings_with_a_dialect_are_found() {
        for line in [
            "use crate::dialect::kombu::Envelope;",
            "let name = of_kombu;",
            "if self.is_pika() {}",
            "Wire::Kombu => 1,",
            "struct PikaReply;",
            "struct HTTPPika;",
            "let a: Dialect = x;",
            "fn f(_: ServedDialect, _: DialectChoice) {}",
            "const PIKA_NAME: u8 = 1;",
            "let text = \"the pika driver\";",
        ] {
            assert_eq!(named("driver/src/rpc/a.rs", line), 1, "{line}");
        }
    }

    #[test]
    fn other_names_comments_and_tests_are_not() {
        for text in [
            "use crate::dialect::wire::Wire;",
            "let spikard = okapika + dialect;",
            "struct Dialects;",
            "// kombu and Dialect\n/// pika\nfn f() {} /* pika */",
            "#[cfg(test)]\nmod tests {\n    use crate::dialect::kombu;\n}\n",
        ] {
            assert_eq!(named("driver/src/rpc/a.rs", text), 0, "{text}");
        }
        assert_eq!(named("driver/src/rpc/tests.rs", "let a = kombu;"), 0);
    }

    #[test]
    fn some_folders_may_name_dialects() {
        for path in ["driver/src/rpc/a.rs", "driver/src/ids.rs", "driver/src/dialects.rs"] {
            assert!(is_checked(path), "{path}");
        }
        for path in ["driver/src/dialect/wire.rs", "driver/src/lib.rs", "driver/src/bin/a.rs"] {
            assert!(!is_checked(path), "{path}");
        }
        assert!(!is_checked("driver/tests/it/a.rs") && !is_checked("engine/src/a.rs"));
    }

    #[test]
    fn every_line_that_names_a_dialect_is_refused() {
        let files = METRICS_FILES.iter().map(|path| Source::new(path, "pub of_pika: u64,"));
        let mut files: Vec<Source> = files.collect();
        assert_eq!(check(&files), []);
        files.push(Source::new("driver/src/rpc/a.rs", "fn f() {}\nfn of_pika() {}\n"));
        let message = "names a dialect: let `driver/src/dialect` answer the question instead";
        assert_eq!(check(&files), [Problem::new("driver/src/rpc/a.rs", 2, message)]);
    }

    #[test]
    fn metrics_keep_a_few_names() {
        let file = |path| Source::new(path, "a: pika,\nb: kombu,\n");
        let check = |sources: &[Source], limit| check_metrics(sources, &["a", "b"], limit);
        assert_eq!(check(&[file("a"), file("b"), file("c")], 4), []);
        assert_eq!(check(&[file("a"), file("b")], 3).len(), 1);
        let gone = "does not exist: correct its name in .ci/tidy/src/dialects.rs";
        assert_eq!(check(&[file("a")], 4), [Problem::new("b", 1, gone)]);
    }
}
