//! The functions of a format that values are written in.

use std::fmt::Display;

use serde::Serialize;

use crate::codec::error::WriteError;

/// The kinds of values that contain others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Array,
    Object,
}

/// A format of bytes. Each function appends to `out`. After an error the caller truncates `out`.
pub(crate) trait Format: Sized {
    /// State of an array or an object that is being written.
    type Open;

    fn push_null(out: &mut Vec<u8>);
    fn push_bool(out: &mut Vec<u8>, value: bool);
    fn push_signed(out: &mut Vec<u8>, value: i64);
    fn push_unsigned(out: &mut Vec<u8>, value: u64);
    fn push_i128(out: &mut Vec<u8>, value: i128) -> Result<(), WriteError>;
    fn push_u128(out: &mut Vec<u8>, value: u128) -> Result<(), WriteError>;
    fn push_f32(out: &mut Vec<u8>, value: f32);
    fn push_f64(out: &mut Vec<u8>, value: f64);
    fn push_str(out: &mut Vec<u8>, text: &str) -> Result<(), WriteError>;
    fn push_bytes(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), WriteError>;

    /// Appends the text that `value` displays.
    fn push_display<T: Display + ?Sized>(out: &mut Vec<u8>, value: &T) -> Result<(), WriteError>;

    /// Appends a number of any size or precision, given as its digits.
    fn push_number(out: &mut Vec<u8>, digits: &str) -> Result<(), WriteError>;

    /// Appends the value of JSON text, `depth` arrays and objects down.
    fn push_raw(out: &mut Vec<u8>, text: &str, depth: u8) -> Result<(), WriteError>;

    /// Begins an array or an object. `length` is the number of members, if the value knows it.
    fn open(
        out: &mut Vec<u8>,
        shape: Shape,
        length: Option<usize>,
    ) -> Result<Self::Open, WriteError>;

    /// Begins an element of an array or an entry of an object.
    fn begin_member(out: &mut Vec<u8>, open: &mut Self::Open);

    /// Appends the key of an entry as text, whatever its type.
    fn push_key<K: Serialize + ?Sized>(
        out: &mut Vec<u8>,
        key: &K,
        depth: u8,
    ) -> Result<(), WriteError>;

    /// Ends a key. Its value follows.
    fn end_key(out: &mut Vec<u8>);

    /// Ends an array or an object.
    fn close(out: &mut Vec<u8>, shape: Shape, open: Self::Open) -> Result<(), WriteError>;

    /// Begins an object of one entry with the key `variant`. Its value follows.
    fn open_variant(out: &mut Vec<u8>, variant: &str) -> Result<(), WriteError>;

    /// Ends an object of one entry.
    fn close_variant(out: &mut Vec<u8>);
}
