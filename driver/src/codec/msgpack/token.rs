//! One value's head at a time: the cursor under everything that reads msgpack.
//!
//! Invariant: a token never says more than the input holds. Text and bytes lie in it whole; an
//! array or a map claims no more elements than there are bytes left, since each takes one at least.
//! Not here: what a token means, and how deep one may go.

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

/// How many bytes follow each marker of a scalar whose length it tells.
const PLAIN: [u8; 256] = {
    let mut lengths = [0; 256];
    let mut marker = 0;
    while marker < 256 {
        lengths[marker] = plain_length(marker as u8);
        marker += 1;
    }
    lengths
};
/// No such marker.
const SPECIAL: u8 = u8::MAX;

const fn plain_length(marker: u8) -> u8 {
    match marker {
        0x00..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3 => 0,
        0xa0..=0xbf if ((marker - 0xa0) as usize) < RESERVED_PREFIX.len() => marker - 0xa0,
        0xcc | 0xd0 => 1,
        0xcd | 0xd1 => 2,
        0xca | 0xce | 0xd2 => 4,
        0xcb | 0xcf | 0xd3 => 8,
        _ => SPECIAL,
    }
}

/// What is left to read.
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

    /// What was read since it was as `start`.
    pub(super) fn since(self, start: Self) -> &'a [u8] {
        &start.rest[..start.rest.len() - self.rest.len()]
    }

    /// An error unless everything was read.
    pub(super) fn finish(self) -> Result<(), ReadError> {
        if self.rest.is_empty() { Ok(()) } else { Err(ReadError::Trailing) }
    }

    /// Whether the next value is nil.
    pub(super) fn at_nil(&self) -> bool {
        self.rest.first() == Some(&0xc0)
    }

    pub(super) fn token(&mut self) -> Result<Token<'a>, ReadError> {
        let [marker] = self.fixed()?;
        Ok(match marker {
            0x00..=0x7f => Token::Unsigned(marker.into()),
            0x80..=0x8f => self.map((marker & 0x0f).into())?,
            0x90..=0x9f => self.array((marker & 0x0f).into())?,
            0xa0..=0xbf => Token::Text(self.take((marker & 0x1f).into())?),
            0xc0 => Token::Nil,
            0xc1 => return Err(ReadError::Reserved),
            0xc2 | 0xc3 => Token::Bool(marker == 0xc3),
            0xc4..=0xc6 => Token::Bytes(self.run(marker - 0xc4)?),
            0xc7..=0xc9 => {
                let length = self.length(marker - 0xc7)?;
                self.extension(length)?
            }
            0xca => Token::Single(f32::from_be_bytes(self.fixed()?)),
            0xcb => Token::Double(f64::from_be_bytes(self.fixed()?)),
            0xcc => Token::Unsigned(u8::from_be_bytes(self.fixed()?).into()),
            0xcd => Token::Unsigned(u16::from_be_bytes(self.fixed()?).into()),
            0xce => Token::Unsigned(u32::from_be_bytes(self.fixed()?).into()),
            0xcf => Token::Unsigned(u64::from_be_bytes(self.fixed()?)),
            0xd0 => Token::Signed(i8::from_be_bytes(self.fixed()?).into()),
            0xd1 => Token::Signed(i16::from_be_bytes(self.fixed()?).into()),
            0xd2 => Token::Signed(i32::from_be_bytes(self.fixed()?).into()),
            0xd3 => Token::Signed(i64::from_be_bytes(self.fixed()?)),
            0xd4..=0xd8 => self.extension(1 << (marker - 0xd4))?,
            0xd9..=0xdb => Token::Text(self.run(marker - 0xd9)?),
            0xdc | 0xdd => {
                let length = self.length(marker - 0xdc + 1)?;
                self.array(length)?
            }
            0xde | 0xdf => {
                let length = self.length(marker - 0xde + 1)?;
                self.map(length)?
            }
            0xe0..=0xff => Token::Signed((marker as i8).into()),
        })
    }

    /// Passes over one value and returns its bytes. No recursion: what is owed is counted, and more
    /// than there are bytes left can never be paid.
    pub(super) fn skip(&mut self) -> Result<&'a [u8], ReadError> {
        let before = self.rest;
        let mut owed = 1_u64;
        while owed > 0 {
            owed -= 1;
            match self.token()? {
                Token::Array(length) => owed += u64::from(length),
                Token::Map(length) => owed += 2 * u64::from(length),
                _ => {}
            }
            if owed > self.rest.len() as u64 {
                return Err(ReadError::Truncated);
            }
        }
        Ok(&before[..before.len() - self.rest.len()])
    }

    /// Passes over the next value if it is a scalar of known length: a number, a constant, or text
    /// too short for a [reserved key](RESERVED_PREFIX). Whether it was one.
    #[inline]
    pub(super) fn skip_plain(&mut self) -> Result<bool, ReadError> {
        let marker = *self.rest.first().ok_or(ReadError::Truncated)?;
        let length = PLAIN[usize::from(marker)];
        if length == SPECIAL {
            return Ok(false);
        }
        self.rest = self.rest.get(1 + usize::from(length)..).ok_or(ReadError::Truncated)?;
        Ok(true)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], ReadError> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(ReadError::Truncated)?;
        self.rest = rest;
        Ok(*bytes)
    }

    /// A length of one, two or four bytes.
    fn length(&mut self, width: u8) -> Result<u32, ReadError> {
        Ok(match width {
            0 => u8::from_be_bytes(self.fixed()?).into(),
            1 => u16::from_be_bytes(self.fixed()?).into(),
            _ => u32::from_be_bytes(self.fixed()?),
        })
    }

    fn take(&mut self, length: u32) -> Result<&'a [u8], ReadError> {
        let length = usize::try_from(length).map_err(|_| ReadError::Truncated)?;
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(ReadError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn run(&mut self, width: u8) -> Result<&'a [u8], ReadError> {
        let length = self.length(width)?;
        self.take(length)
    }

    fn extension(&mut self, length: u32) -> Result<Token<'a>, ReadError> {
        let kind = i8::from_be_bytes(self.fixed()?);
        Ok(Token::Extension(kind, self.take(length)?))
    }

    fn array(&self, length: u32) -> Result<Token<'a>, ReadError> {
        self.holds(length.into()).map(|()| Token::Array(length))
    }

    fn map(&self, length: u32) -> Result<Token<'a>, ReadError> {
        self.holds(2 * u64::from(length)).map(|()| Token::Map(length))
    }

    fn holds(&self, values: u64) -> Result<(), ReadError> {
        if values > self.rest.len() as u64 { Err(ReadError::Truncated) } else { Ok(()) }
    }
}

/// Text, written as such or as bytes.
pub(super) fn utf8(bytes: &[u8]) -> Result<&str, ReadError> {
    std::str::from_utf8(bytes).map_err(|_| ReadError::NotUtf8)
}
