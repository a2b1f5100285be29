//! The entries of a body's outermost map, each value as the bytes it was sent as.
//!
//! A dialect looks at the keys it knows and decodes only what it needs, when it needs it.
//! Invariants: nothing is copied, nobody recurses into a value that is passed over, however deep it
//! claims to be, and what is handed out keeps the message within its budget. Not here: repeated
//! keys, of which Python believes the last.

use crate::codec::budget::Budget;
use crate::codec::msgpack::error::ReadError;
use crate::codec::msgpack::scan;
use crate::codec::msgpack::token::{Input, Token, utf8};

/// The entries of a map in their order; it ends after the first error.
#[derive(Debug)]
pub(crate) struct Entries<'a> {
    input: Input<'a>,
    left: u32,
    budget: Budget,
    bytes: usize,
}

impl<'a> Entries<'a> {
    /// Reads the head of `body`, which must be a map.
    pub(crate) fn new(body: &'a [u8]) -> Result<Self, ReadError> {
        let mut input = Input::new(body);
        match input.token()? {
            Token::Map(left) => {
                let (budget, bytes) = (scan::message(body.len(), left), body.len());
                Ok(Self { input, left, budget, bytes })
            }
            _ => Err(ReadError::NotMap),
        }
    }

    fn entry(&mut self) -> Result<(&'a str, &'a [u8]), ReadError> {
        let key = match self.input.token()? {
            Token::Text(key) | Token::Bytes(key) => utf8(key)?,
            _ => return Err(ReadError::Key),
        };
        let value = scan::skip(&mut self.input, &mut self.budget)?;
        self.budget.check(self.bytes)?;
        Ok((key, value))
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<(&'a str, &'a [u8]), ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let entry = match self.left {
            0 => Err(self.input.finish().err()?),
            _ => self.entry(),
        };
        match entry {
            Ok(_) => self.left -= 1,
            Err(_) => (self.input, self.left) = (Input::new(&[]), 0),
        }
        Some(entry)
    }
}

/// The text that `value` holds, as text or as UTF-8 bytes; nil is none.
pub(crate) fn text(value: &[u8]) -> Result<Option<&str>, ReadError> {
    let mut input = Input::new(value);
    let text = match input.token()? {
        Token::Text(text) | Token::Bytes(text) => Some(utf8(text)?),
        Token::Nil => None,
        _ => return Err(ReadError::NotText),
    };
    input.finish()?;
    Ok(text)
}
