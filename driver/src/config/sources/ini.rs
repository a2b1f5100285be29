//! Parses oslo's INI files: sections, `key = value` or `key: value`, continuation lines, comments.
//!
//! None of the well-known crates reads this format: a line that begins with a blank continues the
//! value before it (even if a `#` follows), a comment begins at the start of a line only, an empty
//! line ends a value, a key may occur several times in a section and all its values count, and
//! quotes are removed only where they enclose the whole value. Invariant: the result is what
//! oslo.config reads from the file; the parser never panics. Not here: what keys mean, and
//! `$substitution`.

/// One `key = value` and its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Assignment {
    pub(crate) group: String,
    pub(crate) name: String,
    pub(crate) value: String,
    /// The line of the key, counted from 1.
    pub(crate) line: usize,
}

/// The error of a file that cannot be parsed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub(crate) struct SyntaxError {
    pub(crate) line: usize,
    pub(crate) why: String,
}

/// Parses a file; assignments are in its order.
pub(crate) fn parse(text: &str) -> Result<Vec<Assignment>, SyntaxError> {
    let mut found: Vec<Assignment> = Vec::new();
    let mut section: Option<String> = None;
    // Whether a continuation line may follow.
    let mut is_open = false;
    for (index, line) in text.lines().enumerate() {
        let wrong = |why: &str| SyntaxError { line: index + 1, why: why.to_owned() };
        let line = line.trim_end();
        if line.is_empty() {
            is_open = false;
            continue;
        }
        if line.starts_with([' ', '\t']) {
            let open = if is_open { found.last_mut() } else { None };
            let Some(open) = open else {
                return Err(wrong("begins with a blank, but there is no value it could continue"));
            };
            open.value.push('\n');
            open.value.push_str(line.trim_start());
            continue;
        }
        is_open = false;
        if line.starts_with('[') {
            let name = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
            section = match name {
                None => return Err(wrong("a section ends with `]`")),
                Some("") => return Err(wrong("a section needs a name")),
                Some(name) => Some(name.to_owned()),
            };
        } else if !line.starts_with(['#', ';']) {
            let Some((name, value)) = line.split_once([':', '=']) else {
                return Err(wrong("neither a section nor a comment nor `name = value`"));
            };
            let name = name.trim();
            if name.is_empty() {
                return Err(wrong("a value needs a name before it"));
            }
            let Some(group) = &section else {
                return Err(wrong("a section, such as [DEFAULT], must come before a value"));
            };
            let (group, name) = (group.clone(), name.to_owned());
            let value = unquote(value.trim()).to_owned();
            found.push(Assignment { group, name, value, line: index + 1 });
            is_open = true;
        }
    }
    Ok(found)
}

/// Removes the quotes around the whole value; oslo takes a lone quote for an empty pair.
fn unquote(text: &str) -> &str {
    for quote in ['"', '\''] {
        if text.starts_with(quote) && text.ends_with(quote) {
            return text.get(1..text.len() - 1).unwrap_or_default();
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Vec<(String, String, String)> {
        let found = parse(text).unwrap();
        found.into_iter().map(|one| (one.group, one.name, one.value)).collect()
    }

    #[test]
    fn values_are_parsed_as_by_oslo() {
        for (line, name, value) in [
            ("a = b", "a", "b"),
            ("a: b = c", "a", "b = c"),
            ("url=rabbit://u:p@h/?x=1", "url", "rabbit://u:p@h/?x=1"),
            ("a =", "a", ""),
            ("a = b # not a comment", "a", "b # not a comment"),
            ("a = ' b '", "a", " b "),
            ("a = \"b'", "a", "\"b'"),
            ("a = \"", "a", ""),
            ("a = b\n  c\n\t# d", "a", "b\nc\n# d"),
            ("a = b\n# comment\n; comment\n", "a", "b"),
        ] {
            let text = format!("[s]\n{line}");
            assert_eq!(read(&text), [("s".into(), name.into(), value.into())], "{line}");
        }
    }

    #[test]
    fn repeated_keys_and_sections_keep_their_lines() {
        let found = parse("[a]\nx=1\n\n[b]\nx=2\n[a]\nx=3\n").unwrap();
        let lines: Vec<_> = found.iter().map(|one| (one.group.as_str(), one.line)).collect();
        assert_eq!(lines, [("a", 2), ("b", 5), ("a", 7)]);
    }

    #[test]
    fn errors_name_the_line() {
        for (text, line, why) in [
            ("a = b", 1, "a section, such as [DEFAULT], must come before"),
            ("[a\n", 1, "ends with `]`"),
            ("[]\n", 1, "needs a name"),
            ("[a]\nb\n", 2, "neither a section"),
            ("[a]\n= b\n", 2, "a name before it"),
            ("[a]\nb = c\n\n  d\n", 4, "no value it could continue"),
            ("[a]\nb = c\n# d\n  e\n", 4, "no value it could continue"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.line == line && error.why.contains(why), "{text:?}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(\\[|\\]|=|:|#|;|\"|'|\n|\r|\t| |a|é|\\PC)*") {
            let lines = text.lines().count();
            match parse(&text) {
                Ok(found) => prop_assert!(found.len() <= lines),
                Err(error) => prop_assert!((1..=lines).contains(&error.line)),
            }
        }
    }
}
