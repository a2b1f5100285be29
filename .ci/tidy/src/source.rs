//! A Rust file, split into code and comments, tests and program.
//!
//! Comments become spaces and the insides of strings become `"`, so that a word found in a line
//! of `code` is a word of the program. Both `code` and `uncommented` have as many lines as the
//! file. Limit: a file that does not compile may be misread. Not here: syntax (`modules`).

/// A Rust file as lines.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) path: String,
    /// The lines without comments and without the contents of strings.
    pub(crate) code: Vec<String>,
    /// The lines without comments, strings included.
    pub(crate) uncommented: Vec<String>,
    /// Whether each line belongs to a test.
    pub(crate) test: Vec<bool>,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let blanked = blank(text, true);
        let mut test = vec![is_test_path(path); text.lines().count()];
        mark_tests(&blanked, &mut test);
        let lines = |text: &str| text.lines().map(str::to_owned).collect();
        let uncommented = lines(&blank(text, false));
        Self { path: path.to_owned(), code: lines(&blanked), uncommented, test }
    }

    /// The lines outside of tests, with their numbers.
    pub(crate) fn program(&self) -> impl Iterator<Item = (usize, &str)> {
        self.all().filter(|(number, _)| !self.test[number - 1])
    }

    /// All lines with their numbers.
    pub(crate) fn all(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code.iter().enumerate().map(|(index, line)| (index + 1, line.as_str()))
    }
}

fn is_test_path(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/") || path.starts_with("tests/")
}

/// The words of a line: identifiers and keywords, with the byte offset where each starts.
pub(crate) fn words(line: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut rest = 0;
    std::iter::from_fn(move || {
        let start = rest + line[rest..].find(is_word)?;
        let length = line[start..].find(|c| !is_word(c)).unwrap_or(line.len() - start);
        rest = start + length;
        Some((start, &line[start..rest]))
    })
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Replaces comments by spaces and, if asked to, strings by quotes; keeps line ends.
fn blank(text: &str, with_strings: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut after_word = false;
    while let Some(first) = rest.chars().next() {
        let (length, fill) = token(rest, after_word);
        let (this, next) = rest.split_at(length);
        match fill {
            Some('"') if !with_strings => out.push_str(this),
            Some(fill) => out.extend(this.chars().map(|c| if c == '\n' { c } else { fill })),
            None => out.push_str(this),
        }
        after_word = is_word(first) && fill.is_none();
        rest = next;
    }
    out
}

/// Length of the next token in bytes and what to fill it with; `None` keeps it.
fn token(rest: &str, after_word: bool) -> (usize, Option<char>) {
    let first = rest.chars().next().map_or(1, char::len_utf8);
    if rest.starts_with("//") {
        return (rest.find('\n').unwrap_or(rest.len()), Some(' '));
    }
    if rest.starts_with("/*") {
        return (block_comment(rest), Some(' '));
    }
    if !after_word && let Some(length) = raw_string(rest) {
        return (length, Some('"'));
    }
    if rest.starts_with('"') {
        return (quoted(rest, '"'), Some('"'));
    }
    if rest.starts_with('\'') && is_char_literal(rest) {
        return (quoted(rest, '\''), Some('"'));
    }
    (first, None)
}

fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        let here = &rest[at..];
        if here.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if here.starts_with("*/") {
            depth -= 1;
            at += 2;
        } else {
            at += here.chars().next().map_or(1, char::len_utf8);
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

/// The length of a raw string (`r"…"`, `br#"…"#`, `cr"…"`) at the start of `rest`.
fn raw_string(rest: &str) -> Option<usize> {
    let prefix = ["r", "br", "cr"].into_iter().find(|prefix| {
        let after = rest.strip_prefix(prefix);
        after.is_some_and(|after| after.trim_start_matches('#').starts_with('"'))
    })?;
    let hashes = rest[prefix.len()..].find('"')?;
    let open = prefix.len() + hashes + 1;
    let close = format!("\"{}", "#".repeat(hashes));
    Some(rest[open..].find(&close).map_or(rest.len(), |at| open + at + close.len()))
}

fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// `'a'` and `'\n'`, but not the lifetime `'a`.
fn is_char_literal(rest: &str) -> bool {
    let mut chars = rest.chars().skip(1);
    match chars.next() {
        Some('\\') => true,
        Some(_) => chars.next() == Some('\''),
        None => false,
    }
}

/// Marks the items under `#[cfg(test)]`, and the whole file under `#![cfg(test)]`.
fn mark_tests(code: &str, test: &mut [bool]) {
    let line_of = |at: usize| code[..at].matches('\n').count();
    let mut from = 0;
    while let Some(found) = code[from..].find("cfg(") {
        let at = from + found;
        from = at + 4;
        let end = code[at..].find(']').map_or(code.len(), |length| at + length);
        let condition = &code[at..end];
        let is_attribute = code[..at].ends_with("#[") || code[..at].ends_with("#![");
        let asks_for_test = words(condition).any(|(_, word)| word == "test");
        if !is_attribute || !asks_for_test || condition.contains("not(") {
            continue;
        }
        if code[..at].ends_with("#![") {
            test.fill(true);
            return;
        }
        let last = item_end(code, end);
        let marked = line_of(at)..=line_of(last).min(test.len().saturating_sub(1));
        test[marked].fill(true);
        from = last;
    }
}

/// Where the item after an attribute ends: at its `;`, or at the brace that closes it.
fn item_end(code: &str, from: usize) -> usize {
    let mut depth = 0_usize;
    for (offset, c) in code[from..].char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth <= 1 => return from + offset,
            '}' => depth -= 1,
            ';' if depth == 0 => return from + offset,
            _ => {}
        }
    }
    code.len().saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_strings_are_not_code() {
        let text = "let a = \"unsafe\"; // unsafe\n/* unsafe /* nested */ unsafe */ let b = 'u';\n";
        let source = Source::new("engine/src/a.rs", text);
        let found: Vec<&str> =
            source.code.iter().flat_map(|line| words(line).map(|(_, word)| word)).collect();
        assert_eq!(found, ["let", "a", "let", "b"]);
        assert_eq!(source.uncommented[0].trim_end(), "let a = \"unsafe\";");
        assert_eq!(source.uncommented[1].trim_start(), "let b = 'u';");
    }

    #[test]
    fn raw_strings_end_at_their_hashes() {
        let source = Source::new("a.rs", "f(r#\"a \" unsafe\"#, br\"unsafe\", x)\nfor_r\"\"");
        assert!(!source.code[0].contains("unsafe"));
        assert!(source.code[0].ends_with(", x)"));
    }

    #[test]
    fn lifetimes_are_not_characters() {
        let source = Source::new("a.rs", "fn f<'a>(x: &'a str) -> char { '\\'' }");
        assert!(source.code[0].contains("'a str"), "{:?}", source.code);
    }

    #[test]
    fn test_items_are_marked_and_the_rest_is_not() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\nfn c() {}\n\
                    #[cfg(test)]\nuse x;\nfn d() {}\n#[cfg(not(test))]\nfn e() {}\n";
        let source = Source::new("engine/src/a.rs", text);
        let program: Vec<usize> = source.program().map(|(number, _)| number).collect();
        assert_eq!(program, [1, 6, 9, 10, 11]);
    }

    #[test]
    fn files_of_tests_contain_no_program() {
        for path in ["engine/src/wire/tests.rs", "driver/tests/it/main.rs"] {
            assert_eq!(Source::new(path, "fn a() {}\n").program().count(), 0, "{path}");
        }
        assert_eq!(Source::new("a.rs", "#![cfg(test)]\nfn a() {}\n").program().count(), 0);
    }
}
