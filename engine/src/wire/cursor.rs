//! Reads and writes the primitive fields of AMQP 4.2.5.
//!
//! [`Reader`] walks a slice and checks every step against the end, so a wrong length is an error
//! and never a panic. The `put_*` functions append to a `Vec<u8>`.

use crate::wire::error::WireError;

/// A cursor over received bytes.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Creates a reader at the first byte of `input`.
    #[inline]
    #[must_use]
    pub fn new(input: &'a [u8]) -> Self {
        Self { rest: input }
    }

    /// Returns the bytes that are not read yet.
    #[inline]
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Returns true if all bytes were read.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Reads the next `count` bytes.
    ///
    /// # Errors
    /// [`WireError::Truncated`] if fewer are left; then nothing is consumed.
    #[inline]
    pub fn bytes(&mut self, count: usize) -> Result<&'a [u8], WireError> {
        let (head, tail) = self.rest.split_at_checked(count).ok_or(WireError::Truncated)?;
        self.rest = tail;
        Ok(head)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (head, tail) = self.rest.split_first_chunk::<N>().ok_or(WireError::Truncated)?;
        self.rest = tail;
        Ok(*head)
    }

    /// Reads an octet.
    ///
    /// # Errors
    /// [`WireError::Truncated`].
    #[inline]
    pub fn u8(&mut self) -> Result<u8, WireError> {
        Ok(self.array::<1>()?[0])
    }

    /// Reads a short integer; all integers are big-endian.
    ///
    /// # Errors
    /// [`WireError::Truncated`].
    #[inline]
    pub fn u16(&mut self) -> Result<u16, WireError> {
        self.array().map(u16::from_be_bytes)
    }

    /// Reads a long integer.
    ///
    /// # Errors
    /// [`WireError::Truncated`].
    #[inline]
    pub fn u32(&mut self) -> Result<u32, WireError> {
        self.array().map(u32::from_be_bytes)
    }

    /// Reads a long long integer.
    ///
    /// # Errors
    /// [`WireError::Truncated`].
    #[inline]
    pub fn u64(&mut self) -> Result<u64, WireError> {
        self.array().map(u64::from_be_bytes)
    }

    /// Reads a short string.
    ///
    /// # Errors
    /// [`WireError::Truncated`], or [`WireError::BadUtf8`].
    #[inline]
    pub fn shortstr(&mut self) -> Result<&'a str, WireError> {
        let len = self.u8()?;
        let bytes = self.bytes(usize::from(len))?;
        std::str::from_utf8(bytes).map_err(|_| WireError::BadUtf8)
    }

    /// Reads a long string, which may hold any bytes.
    ///
    /// # Errors
    /// [`WireError::Truncated`].
    #[inline]
    pub fn longstr(&mut self) -> Result<&'a [u8], WireError> {
        let len = self.u32()?;
        // A length beyond the address space is also beyond the slice.
        self.bytes(usize::try_from(len).map_err(|_| WireError::Truncated)?)
    }

    /// Reads the content of a table or an array, without its length and unchecked; see
    /// [`TableView::parse`](super::TableView::parse).
    ///
    /// # Errors
    /// [`WireError::Truncated`].
    #[inline]
    pub fn table_bytes(&mut self) -> Result<&'a [u8], WireError> {
        self.longstr()
    }

    /// Checks that everything was read.
    ///
    /// # Errors
    /// [`WireError::TrailingBytes`] if anything is left.
    #[inline]
    pub fn finish(self) -> Result<(), WireError> {
        match self.rest.len() {
            0 => Ok(()),
            count => Err(WireError::TrailingBytes { count }),
        }
    }
}

/// Appends an octet.
#[inline]
pub fn put_u8(out: &mut Vec<u8>, value: u8) {
    out.push(value);
}

/// Appends a short integer.
#[inline]
pub fn put_u16(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// Appends a long integer.
#[inline]
pub fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// Appends a long long integer.
#[inline]
pub fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// Appends a short string.
///
/// # Panics
/// If it is longer than 255 bytes; check it with [`check_shortstr`] where
/// names enter the program.
#[inline]
pub fn put_shortstr(out: &mut Vec<u8>, text: &str) {
    let len = u8::try_from(text.len()).expect("short strings are checked where they come in");
    out.push(len);
    out.extend_from_slice(text.as_bytes());
}

/// Checks that `text` fits a short string (AMQP 4.2.5.3): 255 bytes at most.
///
/// # Errors
/// [`WireError::ShortStringTooLong`].
pub fn check_shortstr(text: &str) -> Result<(), WireError> {
    if text.len() > usize::from(u8::MAX) {
        return Err(WireError::ShortStringTooLong { len: text.len() });
    }
    Ok(())
}

/// Appends a long string.
///
/// # Panics
/// If it is longer than 4 GiB.
#[inline]
pub fn put_longstr(out: &mut Vec<u8>, bytes: &[u8]) {
    put_u32(out, len_u32(bytes.len()));
    out.extend_from_slice(bytes);
}

/// Converts a length to the protocol's 32 bits.
#[inline]
pub(crate) fn len_u32(len: usize) -> u32 {
    u32::try_from(len).expect("a frame or field is shorter than 4 GiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_strings_read_back_as_written() {
        let mut out = Vec::new();
        put_u8(&mut out, 7);
        put_u16(&mut out, 0x0102);
        put_u32(&mut out, 0x0304_0506);
        put_u64(&mut out, u64::MAX - 1);
        put_shortstr(&mut out, "");
        put_shortstr(&mut out, &"x".repeat(255));
        put_longstr(&mut out, b"\xff\x00");
        let mut reader = Reader::new(&out);
        assert_eq!(reader.u8(), Ok(7));
        assert_eq!(reader.u16(), Ok(0x0102));
        assert_eq!(reader.u32(), Ok(0x0304_0506));
        assert_eq!(reader.u64(), Ok(u64::MAX - 1));
        assert_eq!(reader.shortstr(), Ok(""));
        assert_eq!(reader.shortstr(), Ok("x".repeat(255).as_str()));
        assert_eq!(reader.longstr(), Ok(&b"\xff\x00"[..]));
        assert_eq!(reader.finish(), Ok(()));
    }

    #[test]
    fn every_cut_is_reported_as_truncated_and_consumes_nothing() {
        let full = [5, b'h', b'e', b'l', b'l', b'o'];
        for end in 0..full.len() {
            assert_eq!(Reader::new(&full[..end]).shortstr(), Err(WireError::Truncated));
        }
        let mut reader = Reader::new(&[1, 2, 3]);
        assert_eq!(reader.u32(), Err(WireError::Truncated));
        assert_eq!(reader.rest(), [1, 2, 3]);
        assert_eq!(reader.u64(), Err(WireError::Truncated));
        assert_eq!(reader.u16(), Ok(0x0102));
        assert_eq!(reader.finish(), Err(WireError::TrailingBytes { count: 1 }));
    }

    #[test]
    fn lengths_beyond_the_slice_are_errors_and_allocate_nothing() {
        assert_eq!(Reader::new(&[255, b'x']).shortstr(), Err(WireError::Truncated));
        let huge = [0xff, 0xff, 0xff, 0xff, 1];
        assert_eq!(Reader::new(&huge).longstr(), Err(WireError::Truncated));
        let negative = [0x80, 0, 0, 0, 1];
        assert_eq!(Reader::new(&negative).table_bytes(), Err(WireError::Truncated));
    }

    #[test]
    fn a_short_string_must_be_utf8_a_long_one_need_not() {
        assert_eq!(Reader::new(&[2, 0xc3, 0x28]).shortstr(), Err(WireError::BadUtf8));
        assert_eq!(Reader::new(&[2, 0xc3, 0xa9]).shortstr(), Ok("é"));
        assert_eq!(Reader::new(&[0, 0, 0, 1, 0xff]).longstr(), Ok(&b"\xff"[..]));
    }

    #[test]
    #[should_panic(expected = "short strings are checked")]
    fn writing_a_short_string_of_256_bytes_panics() {
        put_shortstr(&mut Vec::new(), &"x".repeat(256));
    }
}
