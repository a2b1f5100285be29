//! Reads JSON with `serde_json`, and repairs what only Python accepts.
//!
//! Python's encoder writes `NaN`, `Infinity`, `-Infinity` and lone surrogates (`"\ud800"`), which a
//! strict parser refuses. They are rare, so the repair runs only after a strict parse failed: the
//! three literals become `null`, a lone surrogate becomes U+FFFD. Integers have any size (arbitrary
//! precision). `serde_json` bounds the depth. Not here: messages as a whole (`members`); byte order
//! marks and UTF-16, which oslo does not send.

use std::borrow::Cow;

use serde::de::DeserializeOwned;

use crate::codec::json::error::ReadError;
use crate::codec::json::escape::{code_unit, unescaped_run};

/// Deserializes a value.
pub(crate) fn from_slice<T: DeserializeOwned>(text: &[u8]) -> Result<T, ReadError> {
    let error = match parse(text) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    let mut repaired = Vec::new();
    if !repair(text, &mut repaired) {
        return Err(error.into());
    }
    parse(&repaired).map_err(ReadError::from)
}

/// Parses strict JSON. Checks the text as a whole to be UTF-8, which costs less than each string.
fn parse<T: DeserializeOwned>(text: &[u8]) -> Result<T, serde_json::Error> {
    match std::str::from_utf8(text) {
        Ok(text) => serde_json::from_str(text),
        Err(_) => serde_json::from_slice(text),
    }
}

/// Returns the content of a JSON string, which `raw` must be.
pub(crate) fn parse_string(raw: &str) -> Result<Cow<'_, str>, ReadError> {
    // Without escapes nothing needs parsing.
    let content = raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    if let Some(content) = content.filter(|content| !content.as_bytes().contains(&b'\\')) {
        return Ok(Cow::Borrowed(content));
    }
    from_slice(raw.as_bytes()).map(Cow::Owned)
}

/// Copies `text` and replaces what only Python accepts. Returns false if there is nothing of that.
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

/// Copies one string with its quotes. Returns its length, and whether a lone surrogate was
/// replaced.
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
                let (length, keep) =
                    match (escaped_unit(rest), rest.get(6..).and_then(escaped_unit)) {
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

/// Reads the UTF-16 code unit of a `\uXXXX` escape at the start of `text`.
fn escaped_unit(text: &[u8]) -> Option<u16> {
    code_unit(text.strip_prefix(b"\\u")?)
}

/// Unescapes the content of a JSON string, if it has only escaped quotes and backslashes.
///
/// Returns false, with `out` unfinished, for anything that needs a parser: a quote, another escape,
/// a backslash at the end. JSON text that Python or we put in a string has none of these, because
/// it is ASCII already.
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
