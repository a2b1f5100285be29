//! What a format must say for values to be written in it.

use std::fmt::Display;

use serde::Serialize;

use crate::codec::error::WriteError;

/// The two kinds of values that hold others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Array,
    Object,
}

/// The bytes of a format. Each function appends to `out`; after an error `out` holds a part of what
/// was to be written.
pub(crate) trait Format: Sized {
    /// What must be known of an array or an object while it is written.
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

    /// Appends what `value` displays, as text.
    fn push_display<T: Display + ?Sized>(out: &mut Vec<u8>, value: &T) -> Result<(), WriteError>;

    /// Appends a number of any size or precision, given as its digits.
    fn push_number(out: &mut Vec<u8>, digits: &str) -> Result<(), WriteError>;

    /// Appends the value that JSON text says, which lies within `depth` arrays and objects.
    fn push_raw(out: &mut Vec<u8>, text: &str, depth: u8) -> Result<(), WriteError>;

    /// Begins an array or an object of `length` members, where the value knows that.
    fn open(
        out: &mut Vec<u8>,
        shape: Shape,
        length: Option<usize>,
    ) -> Result<Self::Open, WriteError>;

    /// Begins an element of an array, or an entry of an object.
    fn begin_member(out: &mut Vec<u8>, open: &mut Self::Open);

    /// Appends the key of an entry, as text whatever its type is.
    fn push_key<K: Serialize + ?Sized>(
        out: &mut Vec<u8>,
        key: &K,
        depth: u8,
    ) -> Result<(), WriteError>;

    /// Ends a key: its value follows.
    fn end_key(out: &mut Vec<u8>);

    /// Ends an array or an object.
    fn close(out: &mut Vec<u8>, shape: Shape, open: Self::Open) -> Result<(), WriteError>;

    /// Begins an object of one entry, whose key is `variant`, up to its value.
    fn open_variant(out: &mut Vec<u8>, variant: &str) -> Result<(), WriteError>;

    /// Ends an object of one entry after its value.
    fn close_variant(out: &mut Vec<u8>);
}
