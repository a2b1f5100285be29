//! Reading JSON: `serde_json`, and for what only Python accepts a repair and a second try.
//!
//! Python's encoder emits `NaN`, `Infinity`, `-Infinity` and lone surrogates (`"\ud800"`), which no
//! strict parser takes. They are rare, so the repair runs only after a strict parse failed: the
//! three literals become `null`, a lone surrogate becomes U+FFFD. Integers of any size survive
//! (arbitrary precision). Depth is bounded by `serde_json` itself. Not here: messages as a whole
//! (`members`); byte order marks and UTF-16, which oslo never sends.

use std::borrow::Cow;

use serde::de::DeserializeOwned;

use crate::codec::budget::OverBudget;
use crate::codec::json::escape::unescaped_run;

/// Why JSON text could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReadError {
    /// The message's values would cost too much.
    #[error(transparent)]
    OverBudget(#[from] OverBudget),
    /// Text is UTF-8.
    #[error("it is not UTF-8")]
    NotUtf8,
    /// It is no JSON, from this byte on.
    #[error("{what} was expected at byte {at}")]
    Expected { what: &'static str, at: usize },
    /// The parser's own words.
    #[error("{0}")]
    Parser(Box<str>),
}

impl From<serde_json::Error> for ReadError {
    fn from(error: serde_json::Error) -> Self {
        Self::Parser(error.to_string().into())
    }
}

/// Reads a value.
pub(crate) fn from_slice<T: DeserializeOwned>(text: &[u8]) -> Result<T, ReadError> {
    let error = match strictly(text) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    let mut repaired = Vec::new();
    if !repair(text, &mut repaired) {
        return Err(error.into());
    }
    strictly(&repaired).map_err(ReadError::from)
}

/// Text is checked to be UTF-8 as a whole, which costs less than string by string.
fn strictly<T: DeserializeOwned>(text: &[u8]) -> Result<T, serde_json::Error> {
    match std::str::from_utf8(text) {
        Ok(text) => serde_json::from_str(text),
        Err(_) => serde_json::from_slice(text),
    }
}

/// What a string stands for that was found to be one.
pub(crate) fn parse_string(raw: &str) -> Result<Cow<'_, str>, ReadError> {
    // Without escapes it stands for itself.
    let content = raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    if let Some(content) = content.filter(|content| !content.as_bytes().contains(&b'\\')) {
        return Ok(Cow::Borrowed(content));
    }
    from_slice(raw.as_bytes()).map(Cow::Owned)
}

/// Copies `text` with Python's liberties replaced; false if there were none.
fn repair(text: &[u8], out: &mut Vec<u8>) -> bool {
    let mut changed = false;
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        if rest[0] == b'"' {
            let (length, repaired) = repair_string(rest, out);
            changed |= repaired;
            at += length;
        } else if let Some(literal) =
            [&b"NaN"[..], b"Infinity", b"-Infinity"].into_iter().find(|name| rest.starts_with(name))
        {
            out.extend_from_slice(b"null");
            changed = true;
            at += literal.len();
        } else {
            out.push(rest[0]);
            at += 1;
        }
    }
    changed
}

/// Copies one string with its quotes; returns its length and whether a lone surrogate was replaced.
fn repair_string(text: &[u8], out: &mut Vec<u8>) -> (usize, bool) {
    out.push(b'"');
    let (mut at, mut repaired) = (1, false);
    loop {
        let run = unescaped_run(&text[at..]);
        out.extend_from_slice(&text[at..at + run]);
        at += run;
        let rest = &text[at..];
        match rest {
            [b'"', ..] => {
                out.push(b'"');
                return (at + 1, repaired);
            }
            [b'\\', b'u', ..] => {
                let (length, keep) = match (code_unit(rest), rest.get(6..).and_then(code_unit)) {
                    (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => (12, true),
                    (Some(0xd800..=0xdfff), _) => (6, false),
                    _ => (2, true),
                };
                out.extend_from_slice(if keep { &rest[..length] } else { b"\\ufffd" });
                repaired |= !keep;
                at += length;
            }
            [b'\\', escaped, ..] => {
                out.extend_from_slice(&[b'\\', *escaped]);
                at += 2;
            }
            _ => {
                out.extend_from_slice(rest);
                return (text.len(), repaired);
            }
        }
    }
}

/// The UTF-16 unit of a `\uXXXX` escape at the start of `text`.
fn code_unit(text: &[u8]) -> Option<u16> {
    let digits = text.strip_prefix(b"\\u")?.get(..4)?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// Appends the text that the content of a JSON string stands for, if it uses simple escapes only.
///
/// False, with `out` unfinished, for anything that needs a real parser: a quote inside, a `\uXXXX`,
/// a dangling backslash. Text nested by Python or by us has none of these, being ASCII already.
pub(crate) fn unescape_into(content: &[u8], out: &mut Vec<u8>) -> bool {
    let mut at = 0;
    while at < content.len() {
        let run = unescaped_run(&content[at..]);
        out.extend_from_slice(&content[at..at + run]);
        at += run;
        match &content[at..] {
            [] => return true,
            [b'\\', b'"', ..] => out.push(b'"'),
            [b'\\', b'\\', ..] => out.push(b'\\'),
            _ => return false,
        }
        at += 2;
    }
    true
}
