//! The members of a message's object of JSON, their values as the text they were sent as.
//!
//! A dialect looks at the keys it knows and decodes only what it needs, when it needs it. `scan`
//! checks each value once: it is JSON as Python writes it, and the message is within its budget, so
//! decoding it later as a [`Value`](serde_json::Value) cannot fail. Only keys with escapes are
//! copied. Not here: repeated keys, of which Python believes the last.

use std::borrow::Cow;

use crate::codec::json::read::{ReadError, parse_string};
use crate::codec::json::scan::Scan;

/// The members of an object in their order; it ends after the first error.
pub(crate) struct Members<'t> {
    text: &'t str,
    scan: Scan<'t>,
    next: Next,
    is_checked: bool,
}

enum Next {
    /// The object itself.
    Object,
    /// A member, or the end.
    Member,
    Nothing,
}

impl<'t> Members<'t> {
    /// Those of the object that `text` is.
    pub(crate) fn new(text: &'t [u8]) -> Result<Self, ReadError> {
        let text = std::str::from_utf8(text).map_err(|_| ReadError::NotUtf8)?;
        Ok(Self { text, scan: Scan::of(text), next: Next::Object, is_checked: true })
    }

    /// The same without a budget. Values other than strings and numbers may be no JSON, and are not
    /// to be decoded.
    pub(crate) fn unchecked(text: &'t [u8]) -> Result<Self, ReadError> {
        Ok(Self { is_checked: false, ..Self::new(text)? })
    }

    fn member(&mut self) -> Result<Option<(Cow<'t, str>, &'t str)>, ReadError> {
        let scan = &mut self.scan;
        let is_over = match self.next {
            Next::Object => {
                scan.expect(b'{', "an object")?;
                scan.skip_byte(b'}')
            }
            Next::Member if scan.skip_byte(b',') => false,
            Next::Member => {
                scan.expect(b'}', "a comma or the object's end")?;
                true
            }
            Next::Nothing => return Ok(None),
        };
        if is_over {
            self.next = Next::Nothing;
            return scan.finish().map(|()| None);
        }
        self.next = Next::Member;
        let (key, is_plain) = scan.key()?;
        let value = if self.is_checked { scan.value()? } else { scan.skip_value() };
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
            self.next = Next::Nothing;
        }
        member.transpose()
    }
}
