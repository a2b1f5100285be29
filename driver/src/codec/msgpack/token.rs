//! The input as tokens. Everything that reads msgpack reads tokens.
//!
//! Invariant: a token needs no more than the input has. Text and bytes are complete; an array or a
//! map has no more elements than there are bytes left, as each element takes at least one. Not
//! here: the values of extensions, and the limit of depth.

use rmp::Marker;

use crate::codec::msgpack::error::ReadError;
use crate::codec::reserved_keys::RESERVED_PREFIX;

/// A scalar with its content, or the head of an array or a map whose elements follow.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Token<'a> {
    Nil,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Single(f32),
    Double(f64),
    Text(&'a [u8]),
    Bytes(&'a [u8]),
    Array(u32),
    Map(u32),
    Extension(i8, &'a [u8]),
}

/// Bytes that follow each marker, for scalars whose marker determines their length.
const SCALAR_LENGTHS: [u8; 256] = {
    let mut lengths = [0; 256];
    let mut marker = 0;
    while marker < 256 {
        lengths[marker] = scalar_length(Marker::from_u8(marker as u8));
        marker += 1;
    }
    lengths
};
/// The marker does not determine the length, or the value is not a scalar.
const UNKNOWN: u8 = u8::MAX;

const fn scalar_length(marker: Marker) -> u8 {
    match marker {
        Marker::FixPos(_) | Marker::FixNeg(_) | Marker::Null | Marker::True | Marker::False => 0,
        Marker::FixStr(length) if (length as usize) < RESERVED_PREFIX.len() => length,
        Marker::U8 | Marker::I8 => 1,
        Marker::U16 | Marker::I16 => 2,
        Marker::U32 | Marker::I32 | Marker::F32 => 4,
        Marker::U64 | Marker::I64 | Marker::F64 => 8,
        _ => UNKNOWN,
    }
}

/// The input that is left to read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    pub(super) fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    pub(super) fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Returns the bytes that were read since `start`.
    pub(super) fn since(self, start: Self) -> &'a [u8] {
        &start.rest[..start.rest.len() - self.rest.len()]
    }

    /// Returns an error if bytes are left.
    pub(super) fn finish(self) -> Result<(), ReadError> {
        if self.rest.is_empty() { Ok(()) } else { Err(ReadError::Trailing) }
    }

    /// Whether the next value is nil.
    pub(super) fn at_nil(&self) -> bool {
        self.rest.first() == Some(&Marker::Null.to_u8())
    }

    /// Whether the next value is text, not bytes.
    pub(super) fn at_text(&self) -> bool {
        let marker = self.rest.first().map(|marker| Marker::from_u8(*marker));
        matches!(marker, Some(Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32))
    }

    /// Reads a token.
    pub(super) fn token(&mut self) -> Result<Token<'a>, ReadError> {
        let [marker] = self.fixed()?;
        Ok(match Marker::from_u8(marker) {
            Marker::Null => Token::Nil,
            Marker::False => Token::Bool(false),
            Marker::True => Token::Bool(true),
            Marker::FixPos(value) => Token::Unsigned(value.into()),
            Marker::U8 => Token::Unsigned(u8::from_be_bytes(self.fixed()?).into()),
            Marker::U16 => Token::Unsigned(u16::from_be_bytes(self.fixed()?).into()),
            Marker::U32 => Token::Unsigned(u32::from_be_bytes(self.fixed()?).into()),
            Marker::U64 => Token::Unsigned(u64::from_be_bytes(self.fixed()?)),
            Marker::FixNeg(value) => Token::Signed(value.into()),
            Marker::I8 => Token::Signed(i8::from_be_bytes(self.fixed()?).into()),
            Marker::I16 => Token::Signed(i16::from_be_bytes(self.fixed()?).into()),
            Marker::I32 => Token::Signed(i32::from_be_bytes(self.fixed()?).into()),
            Marker::I64 => Token::Signed(i64::from_be_bytes(self.fixed()?)),
            Marker::F32 => Token::Single(f32::from_be_bytes(self.fixed()?)),
            Marker::F64 => Token::Double(f64::from_be_bytes(self.fixed()?)),
            Marker::FixStr(length) => Token::Text(self.take(length.into())?),
            Marker::Str8 => Token::Text(self.prefixed::<1>()?),
            Marker::Str16 => Token::Text(self.prefixed::<2>()?),
            Marker::Str32 => Token::Text(self.prefixed::<4>()?),
            Marker::Bin8 => Token::Bytes(self.prefixed::<1>()?),
            Marker::Bin16 => Token::Bytes(self.prefixed::<2>()?),
            Marker::Bin32 => Token::Bytes(self.prefixed::<4>()?),
            Marker::FixArray(length) => self.array(length.into())?,
            Marker::Array16 => self.length::<2>().and_then(|length| self.array(length))?,
            Marker::Array32 => self.length::<4>().and_then(|length| self.array(length))?,
            Marker::FixMap(length) => self.map(length.into())?,
            Marker::Map16 => self.length::<2>().and_then(|length| self.map(length))?,
            Marker::Map32 => self.length::<4>().and_then(|length| self.map(length))?,
            Marker::FixExt1 => self.extension(1)?,
            Marker::FixExt2 => self.extension(2)?,
            Marker::FixExt4 => self.extension(4)?,
            Marker::FixExt8 => self.extension(8)?,
            Marker::FixExt16 => self.extension(16)?,
            Marker::Ext8 => self.length::<1>().and_then(|length| self.extension(length))?,
            Marker::Ext16 => self.length::<2>().and_then(|length| self.extension(length))?,
            Marker::Ext32 => self.length::<4>().and_then(|length| self.extension(length))?,
            Marker::Reserved => return Err(ReadError::Reserved),
        })
    }

    /// Skips one value. Counts the values left to skip instead of recursing; if they are more than
    /// the bytes left, the input is truncated.
    pub(super) fn skip(&mut self) -> Result<(), ReadError> {
        let mut pending = 1_u64;
        while pending > 0 {
            pending -= 1;
            match self.token()? {
                Token::Array(length) => pending += u64::from(length),
                Token::Map(length) => pending += 2 * u64::from(length),
                _ => {}
            }
            if pending > self.rest.len() as u64 {
                return Err(ReadError::Truncated);
            }
        }
        Ok(())
    }

    /// Skips the next value if it is a scalar of known length: a number, a constant, or text too
    /// short for a [reserved key](RESERVED_PREFIX). Returns whether it was one.
    #[inline]
    pub(super) fn skip_scalar(&mut self) -> Result<bool, ReadError> {
        let marker = *self.rest.first().ok_or(ReadError::Truncated)?;
        let length = SCALAR_LENGTHS[usize::from(marker)];
        if length == UNKNOWN {
            return Ok(false);
        }
        self.rest = self.rest.get(1 + usize::from(length)..).ok_or(ReadError::Truncated)?;
        Ok(true)
    }

    /// Reads `N` bytes.
    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], ReadError> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(ReadError::Truncated)?;
        self.rest = rest;
        Ok(*bytes)
    }

    /// Reads a length of `N` bytes, at most four.
    fn length<const N: usize>(&mut self) -> Result<u32, ReadError> {
        let bytes: [u8; N] = self.fixed()?;
        Ok(bytes.iter().fold(0, |length, byte| length << 8 | u32::from(*byte)))
    }

    fn take(&mut self, length: u32) -> Result<&'a [u8], ReadError> {
        let length = usize::try_from(length).map_err(|_| ReadError::Truncated)?;
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(ReadError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    /// Reads a length of `N` bytes, and as many bytes.
    fn prefixed<const N: usize>(&mut self) -> Result<&'a [u8], ReadError> {
        let length = self.length::<N>()?;
        self.take(length)
    }

    fn extension(&mut self, length: u32) -> Result<Token<'a>, ReadError> {
        let kind = i8::from_be_bytes(self.fixed()?);
        Ok(Token::Extension(kind, self.take(length)?))
    }

    fn array(&self, length: u32) -> Result<Token<'a>, ReadError> {
        self.check_values(length.into()).map(|()| Token::Array(length))
    }

    fn map(&self, length: u32) -> Result<Token<'a>, ReadError> {
        self.check_values(2 * u64::from(length)).map(|()| Token::Map(length))
    }

    /// Returns an error if there cannot be so many values.
    fn check_values(&self, values: u64) -> Result<(), ReadError> {
        if values > self.rest.len() as u64 { Err(ReadError::Truncated) } else { Ok(()) }
    }
}

/// Whether `value` is a map.
pub(crate) fn is_map(value: &[u8]) -> bool {
    let marker = value.first().map(|marker| Marker::from_u8(*marker));
    matches!(marker, Some(Marker::FixMap(_) | Marker::Map16 | Marker::Map32))
}

/// Returns text that was written as text or as bytes.
pub(super) fn utf8(bytes: &[u8]) -> Result<&str, ReadError> {
    std::str::from_utf8(bytes).map_err(|_| ReadError::NotUtf8)
}
