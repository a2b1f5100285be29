//! Scans JSON text without decoding it: where values end, whether they are JSON, and what they
//! would cost.
//!
//! One loop over the text, with the open arrays and objects in an array of fixed size. It accepts
//! what `serde_json` decodes, and the literals beyond JSON that Python writes. Invariants: nothing
//! is allocated and nothing recurses, whatever the text. Not here: the members of a message
//! (`members`), the limits (`codec::budget`).

use std::ops::Range;

use crate::codec::budget::{Budget, LEVELS_MAX, OverBudget};
use crate::codec::json::error::ReadError;
use crate::codec::json::escape::{code_unit, content_run};
use crate::codec::reserved_keys::RESERVED_PREFIX;

/// A scan of the text of a message.
pub(super) struct Scan<'t> {
    text: &'t [u8],
    at: usize,
    budget: Budget,
}

/// Arrays and objects within the message that may be open at a time.
const OPEN_MAX: usize = LEVELS_MAX - 1;

impl<'t> Scan<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        // Strings, keys and numbers take no more memory than the text.
        let budget = Budget { values: 1, memory: text.len() };
        Self { text: text.as_bytes(), at: 0, budget }
    }

    /// Skips spaces, and this byte if it is next. Returns whether it was.
    pub(super) fn skip_byte(&mut self, byte: u8) -> bool {
        self.at = skip_spaces(self.text, self.at);
        let is_next = self.text.get(self.at) == Some(&byte);
        self.at += usize::from(is_next);
        is_next
    }

    /// Skips spaces and this byte, which must be next.
    pub(super) fn expect(&mut self, byte: u8, what: &'static str) -> Result<(), ReadError> {
        if self.skip_byte(byte) { Ok(()) } else { Err(ReadError::Expected { what, at: self.at }) }
    }

    /// Skips a key and its colon. Returns the range of the key with its quotes, and whether it has
    /// no escapes.
    pub(super) fn read_key(&mut self) -> Result<(Range<usize>, bool), ReadError> {
        let start = skip_spaces(self.text, self.at);
        let plain = skip_plain_string(self.text, start);
        let end = plain.map_or_else(|| skip_key(self.text, start), Ok)?;
        self.at = skip_colon(self.text, end)?;
        Ok((start..end, plain.is_some()))
    }

    /// Checks one value and the budget. Returns the range of the value.
    pub(super) fn check_value(&mut self) -> Result<Range<usize>, ReadError> {
        let start = skip_spaces(self.text, self.at);
        self.at = match self.text.get(start) {
            Some(b'"') => skip_string(self.text, start)?,
            Some(b'{' | b'[') => self.check_container(start)?,
            _ => skip_scalar(self.text, start)?,
        };
        self.budget.values += 1;
        self.budget.check(self.text.len())?;
        Ok(start..self.at)
    }

    /// Checks and counts the array or object that begins at `at`. Returns its end.
    fn check_container(&mut self, mut at: usize) -> Result<usize, ReadError> {
        let text = self.text;
        // Of each that is open: elements so far, and whether it is an object.
        let (mut lengths, mut are_objects) = ([0_u32; OPEN_MAX], [false; OPEN_MAX]);
        let mut levels = 0;
        loop {
            // A value begins.
            at = skip_spaces(text, at);
            match text.get(at) {
                Some(b'"') => at = skip_string(text, at)?,
                Some(first @ (b'{' | b'[')) => {
                    let is_object = *first == b'{';
                    *lengths.get_mut(levels).ok_or(OverBudget::Levels)? = 1;
                    are_objects[levels] = is_object;
                    at = skip_spaces(text, at + 1);
                    if text.get(at) == Some(&(first + CLOSING)) {
                        at += 1;
                    } else {
                        levels += 1;
                        if is_object {
                            at = skip_inner_key(text, at)?;
                        }
                        continue;
                    }
                }
                _ => at = skip_scalar(text, at)?,
            }
            // It ends, and with it perhaps the arrays and objects around it.
            loop {
                let Some(level) = levels.checked_sub(1) else { return Ok(at) };
                let (length, is_object) = (&mut lengths[level], are_objects[level]);
                at = skip_spaces(text, at);
                match (text.get(at), is_object) {
                    (Some(b','), _) => {
                        *length += 1;
                        at += 1;
                        if is_object {
                            at = skip_inner_key(text, skip_spaces(text, at))?;
                        }
                        break;
                    }
                    (Some(b'}'), true) => self.budget.object(*length as usize),
                    (Some(b']'), false) => self.budget.array(*length as usize),
                    _ => return Err(ReadError::Expected { what: "a comma or an end", at }),
                }
                at += 1;
                levels = level;
            }
        }
    }

    /// Skips one value without checking that it is JSON. Returns its range.
    pub(super) fn skip_value(&mut self) -> Range<usize> {
        let start = skip_spaces(self.text, self.at);
        let (mut at, mut levels) = (start, 0_usize);
        while let Some(byte) = self.text.get(at) {
            at = match byte {
                b'"' => skip_string(self.text, at).unwrap_or(self.text.len()),
                b'{' | b'[' => {
                    levels += 1;
                    at + 1
                }
                b'}' | b']' | b',' if levels == 0 => break,
                b'}' | b']' => {
                    levels -= 1;
                    at + 1
                }
                _ => at + 1,
            }
        }
        self.at = at;
        start..start + self.text[start..at].trim_ascii_end().len()
    }

    /// Returns an error if text is left.
    pub(super) fn finish(&mut self) -> Result<(), ReadError> {
        self.at = skip_spaces(self.text, self.at);
        match self.text.get(self.at) {
            None => Ok(()),
            Some(_) => Err(ReadError::Expected { what: "the end", at: self.at }),
        }
    }
}

/// Distance from the byte that opens an array or an object to the byte that ends it.
const CLOSING: u8 = b'}' - b'{';

/// Returns the position after the spaces at `at`.
#[inline]
fn skip_spaces(text: &[u8], mut at: usize) -> usize {
    while matches!(text.get(at), Some(b' ' | b'\n' | b'\t' | b'\r')) {
        at += 1;
    }
    at
}

/// Returns the position after the colon that must follow at `at`.
#[inline]
fn skip_colon(text: &[u8], at: usize) -> Result<usize, ReadError> {
    let at = skip_spaces(text, at);
    match text.get(at) {
        Some(b':') => Ok(at + 1),
        _ => Err(ReadError::Expected { what: "a colon", at }),
    }
}

/// Returns the end of the key that begins at `at`.
#[inline]
fn skip_key(text: &[u8], at: usize) -> Result<usize, ReadError> {
    match text.get(at) {
        Some(b'"') => skip_string(text, at),
        _ => Err(ReadError::Expected { what: "a key", at }),
    }
}

/// Returns the position after a key and its colon. A key that `serde_json` reserves is an error.
#[inline]
fn skip_inner_key(text: &[u8], at: usize) -> Result<usize, ReadError> {
    let end = skip_key(text, at)?;
    if let b'$' | b'\\' = text[at + 1]
        && is_reserved(&text[at + 1..end])
    {
        return Err(OverBudget::ReservedKey.into());
    }
    skip_colon(text, end)
}

/// Returns the end of the string without escapes that begins at `at`, if there is one.
#[inline]
fn skip_plain_string(text: &[u8], at: usize) -> Option<usize> {
    let content = text.get(at..)?.strip_prefix(b"\"")?;
    let end = at + 1 + content_run(content);
    (text.get(end) == Some(&b'"')).then_some(end + 1)
}

/// Returns the end of the string that begins at `at`.
#[inline]
fn skip_string(text: &[u8], at: usize) -> Result<usize, ReadError> {
    let end = at + 1 + content_run(&text[at + 1..]);
    match text.get(end) {
        Some(b'"') => Ok(end + 1),
        _ => skip_escaped_string(text, end),
    }
}

/// Returns the end of the string that continues at `at` with an escape.
fn skip_escaped_string(text: &[u8], mut at: usize) -> Result<usize, ReadError> {
    loop {
        at += match &text[at..] {
            [b'"', ..] => return Ok(at + 1),
            [b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => 2,
            [b'\\', b'u', digits @ ..] if code_unit(digits).is_some() => 6,
            [b'\\', ..] => return Err(ReadError::Expected { what: "an escape", at }),
            _ => return Err(ReadError::Expected { what: "a string's end", at }),
        };
        at += content_run(&text[at..]);
    }
}

/// Returns the end of the number or literal that begins at `at`.
fn skip_scalar(text: &[u8], at: usize) -> Result<usize, ReadError> {
    let rest = &text[at..];
    let words = [&b"null"[..], b"true", b"false", b"NaN", b"Infinity", b"-Infinity"];
    let length = match rest.first() {
        Some(b'0'..=b'9') => number_length(rest),
        Some(b'-') if rest.get(1) != Some(&b'I') => {
            number_length(&rest[1..]).map(|length| length + 1)
        }
        _ => words.iter().find(|word| rest.starts_with(word)).map(|word| word.len()),
    };
    length.map(|length| at + length).ok_or(ReadError::Expected { what: "a value", at })
}

/// Returns the length of the number that `text` begins with, without a sign.
fn number_length(text: &[u8]) -> Option<usize> {
    let digits = |from: usize| text[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut length = digits(0);
    if length == 0 || length > 1 && text[0] == b'0' {
        return None;
    }
    if text.get(length) == Some(&b'.') {
        let fraction = digits(length + 1);
        length += 1 + (fraction > 0).then_some(fraction)?;
    }
    if let Some(b'e' | b'E') = text.get(length) {
        length += 1 + usize::from(matches!(text.get(length + 1), Some(b'+' | b'-')));
        let exponent = digits(length);
        length += (exponent > 0).then_some(exponent)?;
    }
    Some(length)
}

/// Whether a key whose text starts with `content` begins with [`RESERVED_PREFIX`], escaped or not.
fn is_reserved(content: &[u8]) -> bool {
    let mut rest = content;
    RESERVED_PREFIX.bytes().all(|wanted| {
        let (found, length) = match rest {
            [b'\\', b'u', digits @ ..] => (code_unit(digits), 6),
            [byte, ..] => (Some(u16::from(*byte)), 1),
            [] => return false,
        };
        rest = rest.get(length..).unwrap_or_default();
        found == Some(wanted.into())
    })
}

#[cfg(test)]
mod tests;
