//! The members of a message's JSON object, with their values as text.
//!
//! A dialect looks at the keys it knows and decodes only what it needs, when it needs it. `scan`
//! checks each value once: it is JSON as Python writes it, and the message is within its budget. So
//! decoding it later as a [`Value`](serde_json::Value) cannot fail. Only keys with escapes are
//! copied. Not here: repeated keys, of which Python takes the last.

use std::borrow::Cow;

use crate::codec::json::error::ReadError;
use crate::codec::json::read::parse_string;
use crate::codec::json::scan::Scan;

/// An iterator over the members of an object. It ends after the first error.
pub(crate) struct Members<'t> {
    text: &'t str,
    scan: Scan<'t>,
    state: State,
    is_checked: bool,
}

/// What comes next.
enum State {
    /// The object.
    Start,
    /// A member or the end.
    Member,
    /// Nothing: it has ended.
    Ended,
}

impl<'t> Members<'t> {
    /// The members of `text`, which must be an object.
    pub(crate) fn new(text: &'t [u8]) -> Result<Self, ReadError> {
        let text = std::str::from_utf8(text).map_err(|_| ReadError::NotUtf8)?;
        Ok(Self { text, scan: Scan::new(text), state: State::Start, is_checked: true })
    }

    /// The members without a budget. Values other than strings and numbers may not be JSON and must
    /// not be decoded.
    pub(crate) fn unchecked(text: &'t [u8]) -> Result<Self, ReadError> {
        Ok(Self { is_checked: false, ..Self::new(text)? })
    }

    fn member(&mut self) -> Result<Option<(Cow<'t, str>, &'t str)>, ReadError> {
        let scan = &mut self.scan;
        let is_over = match self.state {
            State::Start => {
                scan.expect(b'{', "an object")?;
                scan.skip_byte(b'}')
            }
            State::Member if scan.skip_byte(b',') => false,
            State::Member => {
                scan.expect(b'}', "a comma or the object's end")?;
                true
            }
            State::Ended => return Ok(None),
        };
        if is_over {
            self.state = State::Ended;
            return scan.finish().map(|()| None);
        }
        self.state = State::Member;
        let (key, is_plain) = scan.read_key()?;
        let value = if self.is_checked { scan.check_value()? } else { scan.skip_value() };
        let key = match is_plain {
            true => Cow::Borrowed(&self.text[key.start + 1..key.end - 1]),
            false => parse_string(&self.text[key])?,
        };
        Ok(Some((key, &self.text[value])))
    }
}

impl<'t> Iterator for Members<'t> {
    type Item = Result<(Cow<'t, str>, &'t str), ReadError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let member = self.member();
        if member.is_err() {
            self.state = State::Ended;
        }
        member.transpose()
    }
}
