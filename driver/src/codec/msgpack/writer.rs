//! msgpack as a format of values.
//!
//! Bytes, NaN and infinity are written as such. A key that is not text is written first as it is,
//! then replaced by its text. Invariant: the head of an array or a map has the number of members
//! that were written, whatever length the value announced. Not here: integers beyond 64 bits, which
//! msgpack does not have (Python's packer raises `OverflowError`), and the shapes of values
//! (`codec::write`).

use std::fmt::Display;
use std::io::Write as _;
use std::ops::Range;

use serde::ser::{self, Serialize};

use crate::codec::error::WriteError;
use crate::codec::msgpack::encode::{
    push_array, push_bool, push_bytes, push_float, push_map, push_nil, push_signed, push_str,
    push_unsigned,
};
use crate::codec::msgpack::key::key_text;
use crate::codec::msgpack::token::Input;
use crate::codec::write::format::{Format, Shape};
use crate::codec::write::writer::Writer;

/// Appends `value` to `out`. On an error `out` is as long as before.
pub(crate) fn write<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) -> Result<(), WriteError> {
    let before = out.len();
    let written = value.serialize(Writer::<MsgPack>::new(out, 0));
    if written.is_err() {
        out.truncate(before);
    }
    written
}

struct MsgPack;

/// An array or a map that is being written.
struct Open {
    /// The place of its head.
    head: Range<usize>,
    /// The number of members in the head.
    claimed: u32,
    written: usize,
}

impl Format for MsgPack {
    type Open = Open;

    fn push_null(out: &mut Vec<u8>) {
        push_nil(out);
    }
    fn push_bool(out: &mut Vec<u8>, value: bool) {
        push_bool(out, value);
    }
    fn push_signed(out: &mut Vec<u8>, value: i64) {
        push_signed(out, value);
    }
    fn push_unsigned(out: &mut Vec<u8>, value: u64) {
        push_unsigned(out, value);
    }
    fn push_i128(out: &mut Vec<u8>, value: i128) -> Result<(), WriteError> {
        match (u64::try_from(value), i64::try_from(value)) {
            (Ok(value), _) => push_unsigned(out, value),
            (_, Ok(value)) => push_signed(out, value),
            _ => return Err(WriteError::IntegerTooLarge),
        }
        Ok(())
    }
    fn push_u128(out: &mut Vec<u8>, value: u128) -> Result<(), WriteError> {
        push_unsigned(out, value.try_into().map_err(|_| WriteError::IntegerTooLarge)?);
        Ok(())
    }
    /// In the shortest digits of its own precision, as in JSON: Python reads `0.1f32` as `0.1`.
    fn push_f32(out: &mut Vec<u8>, value: f32) {
        let mut text = [0; 24];
        let mut rest = &mut text[..];
        write!(rest, "{value:e}").expect("9 digits and an exponent fit 24 bytes");
        let written = 24 - rest.len();
        let digits = str::from_utf8(&text[..written]).expect("digits are ASCII");
        push_float(out, digits.parse().expect("a float's text is a float"));
    }
    fn push_f64(out: &mut Vec<u8>, value: f64) {
        push_float(out, value);
    }
    fn push_str(out: &mut Vec<u8>, text: &str) -> Result<(), WriteError> {
        push_str(out, text)
    }
    fn push_bytes(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), WriteError> {
        push_bytes(out, bytes)
    }
    fn push_display<T: Display + ?Sized>(out: &mut Vec<u8>, value: &T) -> Result<(), WriteError> {
        push_str(out, &value.to_string())
    }

    /// As an integer if the digits are one, or else as a float.
    fn push_number(out: &mut Vec<u8>, digits: &str) -> Result<(), WriteError> {
        if digits.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E')) {
            push_float(out, digits.parse().map_err(ser::Error::custom)?);
        } else if let Ok(value) = digits.parse() {
            push_unsigned(out, value);
        } else {
            push_signed(out, digits.parse().map_err(|_| WriteError::IntegerTooLarge)?);
        }
        Ok(())
    }

    fn push_raw(out: &mut Vec<u8>, text: &str, depth: u8) -> Result<(), WriteError> {
        let content: serde_json::Value =
            crate::codec::json::from_slice(text.as_bytes()).map_err(ser::Error::custom)?;
        content.serialize(Writer::<Self>::new(out, depth))
    }

    fn open(out: &mut Vec<u8>, shape: Shape, length: Option<usize>) -> Result<Open, WriteError> {
        let claimed = u32::try_from(length.unwrap_or(0)).map_err(|_| WriteError::TooLong)?;
        let start = out.len();
        push_head(out, shape, claimed);
        Ok(Open { head: start..out.len(), claimed, written: 0 })
    }
    fn begin_member(_: &mut Vec<u8>, open: &mut Open) {
        open.written += 1;
    }
    fn push_key<K: Serialize + ?Sized>(
        out: &mut Vec<u8>,
        key: &K,
        depth: u8,
    ) -> Result<(), WriteError> {
        let start = out.len();
        key.serialize(Writer::<Self>::new(out, depth))?;
        let mut written = Input::new(&out[start..]);
        if written.at_text() {
            return Ok(());
        }
        let token = written.token().map_err(|_| WriteError::Key)?;
        let text = key_text(token).map_err(|_| WriteError::Key)?.into_owned();
        out.truncate(start);
        push_str(out, &text)
    }
    fn end_key(_: &mut Vec<u8>) {}
    fn close(out: &mut Vec<u8>, shape: Shape, open: Open) -> Result<(), WriteError> {
        let length = u32::try_from(open.written).map_err(|_| WriteError::TooLong)?;
        if length != open.claimed {
            let mut head = Vec::new();
            push_head(&mut head, shape, length);
            out.splice(open.head, head);
        }
        Ok(())
    }
    fn open_variant(out: &mut Vec<u8>, variant: &str) -> Result<(), WriteError> {
        push_map(out, 1);
        push_str(out, variant)
    }
    fn close_variant(_: &mut Vec<u8>) {}
}

fn push_head(out: &mut Vec<u8>, shape: Shape, length: u32) {
    match shape {
        Shape::Array => push_array(out, length),
        Shape::Object => push_map(out, length),
    }
}
