//! Python's JSON as a format of values.
//!
//! `LEVEL` is the number of JSON strings around the output (see `escape`). Bytes are UTF-8 text, as
//! in oslo's `jsonutils`. Not here: the shapes of values (`codec::write`).

use std::fmt::{self, Display};

use serde::ser::{self, Serialize};

use crate::codec::error::WriteError;
use crate::codec::json::escape::{backslash, push_non_ascii, push_text, quote};
use crate::codec::json::key::Key;
use crate::codec::json::number::{push_float, push_float32, push_signed, push_unsigned};
use crate::codec::write::format::{Format, Shape};
use crate::codec::write::writer::Writer;

/// Appends `value` to `out` as the content of `LEVEL` enclosing JSON strings. On an error `out`
/// has a part of the value; the caller truncates it.
pub(crate) fn write<const LEVEL: usize, T: Serialize + ?Sized>(
    out: &mut Vec<u8>,
    value: &T,
) -> Result<(), WriteError> {
    value.serialize(Writer::<Json<LEVEL>>::new(out, 0))
}

/// JSON within `LEVEL` JSON strings.
struct Json<const LEVEL: usize>;

/// Whether an array or object has no members yet.
struct IsEmpty(bool);

impl<const LEVEL: usize> Format for Json<LEVEL> {
    type Open = IsEmpty;

    fn push_null(out: &mut Vec<u8>) {
        out.extend_from_slice(b"null");
    }
    fn push_bool(out: &mut Vec<u8>, value: bool) {
        out.extend_from_slice(if value { b"true" } else { b"false" });
    }
    fn push_signed(out: &mut Vec<u8>, value: i64) {
        push_signed(out, value);
    }
    fn push_unsigned(out: &mut Vec<u8>, value: u64) {
        push_unsigned(out, value);
    }
    fn push_i128(out: &mut Vec<u8>, value: i128) -> Result<(), WriteError> {
        push_displayed::<LEVEL>(out, format_args!("{value}"))
    }
    fn push_u128(out: &mut Vec<u8>, value: u128) -> Result<(), WriteError> {
        push_displayed::<LEVEL>(out, format_args!("{value}"))
    }
    fn push_f32(out: &mut Vec<u8>, value: f32) {
        push_float32(out, value);
    }
    fn push_f64(out: &mut Vec<u8>, value: f64) {
        push_float(out, value);
    }
    fn push_str(out: &mut Vec<u8>, text: &str) -> Result<(), WriteError> {
        out.extend_from_slice(quote::<LEVEL>());
        push_text::<LEVEL>(out, text);
        out.extend_from_slice(quote::<LEVEL>());
        Ok(())
    }
    fn push_bytes(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), WriteError> {
        Self::push_str(out, std::str::from_utf8(bytes).map_err(|_| WriteError::NotText)?)
    }
    fn push_display<T: Display + ?Sized>(out: &mut Vec<u8>, value: &T) -> Result<(), WriteError> {
        out.extend_from_slice(quote::<LEVEL>());
        let written = push_displayed::<LEVEL>(out, format_args!("{value}"));
        out.extend_from_slice(quote::<LEVEL>());
        written
    }

    /// Integers verbatim whatever their size, floats as Python prints them.
    fn push_number(out: &mut Vec<u8>, digits: &str) -> Result<(), WriteError> {
        let is_float = digits.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E'));
        match digits.parse::<f64>() {
            Ok(value) if is_float && value.is_finite() => push_float(out, value),
            _ => out.extend_from_slice(digits.as_bytes()),
        }
        Ok(())
    }

    /// The text as it is, except for quotes and backslashes in nested text, and what is not ASCII.
    fn push_raw(out: &mut Vec<u8>, text: &str, _: u8) -> Result<(), WriteError> {
        for character in text.chars() {
            match character {
                '"' => out.extend_from_slice(quote::<LEVEL>()),
                '\\' => out.extend_from_slice(backslash::<LEVEL>()),
                '\n' | '\r' | '\t' => out.push(b' '),
                '\x00'..='\x7f' => out.push(character as u8),
                wide => push_non_ascii::<LEVEL>(out, wide),
            }
        }
        Ok(())
    }

    fn open(out: &mut Vec<u8>, shape: Shape, _: Option<usize>) -> Result<IsEmpty, WriteError> {
        out.push(if shape == Shape::Array { b'[' } else { b'{' });
        Ok(IsEmpty(true))
    }
    fn begin_member(out: &mut Vec<u8>, IsEmpty(is_empty): &mut IsEmpty) {
        if !*is_empty {
            out.extend_from_slice(b", ");
        }
        *is_empty = false;
    }
    fn push_key<K: Serialize + ?Sized>(
        out: &mut Vec<u8>,
        key: &K,
        depth: u8,
    ) -> Result<(), WriteError> {
        key.serialize(Key::<Self>::new(out, depth, quote::<LEVEL>()))
    }
    fn end_key(out: &mut Vec<u8>) {
        out.extend_from_slice(b": ");
    }
    fn close(out: &mut Vec<u8>, shape: Shape, _: IsEmpty) -> Result<(), WriteError> {
        out.push(if shape == Shape::Array { b']' } else { b'}' });
        Ok(())
    }
    fn open_variant(out: &mut Vec<u8>, variant: &str) -> Result<(), WriteError> {
        out.push(b'{');
        Self::push_str(out, variant)?;
        Self::end_key(out);
        Ok(())
    }
    fn close_variant(out: &mut Vec<u8>) {
        out.push(b'}');
    }
}

/// Appends displayed text, escaped.
fn push_displayed<const LEVEL: usize>(
    out: &mut Vec<u8>,
    text: fmt::Arguments<'_>,
) -> Result<(), WriteError> {
    fmt::write(&mut Escaped::<LEVEL>(out), text).map_err(ser::Error::custom)
}

struct Escaped<'a, const LEVEL: usize>(&'a mut Vec<u8>);

impl<const LEVEL: usize> fmt::Write for Escaped<'_, LEVEL> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        push_text::<LEVEL>(self.0, text);
        Ok(())
    }
}
