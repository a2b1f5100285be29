//! Patterns of Python's `fnmatch`, as oslo's routing file has them.

use regex::Regex;

use crate::error::{Error, ErrorKind};

/// A pattern of Python's `fnmatch` as an expression: `*`, `?`, `[seq]`, `[!seq]`.
pub(crate) fn fnmatch(pattern: &str) -> Result<Regex, Error> {
    let pattern_chars: Vec<char> = pattern.chars().collect();
    let mut expression = String::from("^(?s:");
    let mut rest = pattern_chars.as_slice();
    while let [character, more @ ..] = rest {
        rest = more;
        match character {
            '*' => expression.push_str(".*"),
            '?' => expression.push('.'),
            '[' => match set_end(more) {
                Some(end) => {
                    expression.push_str(&set(&more[..end]));
                    rest = &more[end + 1..];
                }
                None => expression.push_str("\\["),
            },
            other => expression.push_str(&literal(*other)),
        }
    }
    expression.push_str(")$");
    Regex::new(&expression)
        .map_err(|error| invalid(format!("the pattern {pattern:?} cannot be used: {error}")))
}

/// The end of a set. A closing bracket may be its first member.
fn set_end(text: &[char]) -> Option<usize> {
    let first = usize::from(text.first() == Some(&'!'));
    let from = first + usize::from(text.get(first) == Some(&']'));
    Some(from + text.get(from..)?.iter().position(|one| *one == ']')?)
}

/// The content of a set; a range that runs backwards is empty, as in Python.
fn set(text: &[char]) -> String {
    let (is_negated, mut rest) = match text {
        ['!', members @ ..] => (true, members),
        members => (false, members),
    };
    let mut members = String::new();
    loop {
        rest = match rest {
            [first, '-', last, more @ ..] => {
                if first <= last {
                    members.push_str(&format!("{}-{}", literal(*first), literal(*last)));
                }
                more
            }
            [one, more @ ..] => {
                members.push_str(&literal(*one));
                more
            }
            [] => break,
        };
    }
    match (is_negated, members.is_empty()) {
        (false, true) => "[^\\s\\S]".to_owned(),
        (true, true) => ".".to_owned(),
        (false, false) => format!("[{members}]"),
        (true, false) => format!("[^{members}]"),
    }
}

fn literal(character: char) -> String {
    regex::escape(character.encode_utf8(&mut [0; 4]))
}

pub(crate) fn invalid(text: String) -> Error {
    Error::new(ErrorKind::ConfigurationError, text)
}
