//! The entries of a body's outermost map, with their values as bytes.
//!
//! A dialect looks at the keys it knows and decodes only what it needs, when it needs it.
//! Invariants: nothing is copied, nothing recurses into a value, however deep it is, and an entry
//! is returned only while the message is within its budget. Not here: repeated keys, of which
//! Python takes the last.

use crate::codec::budget::Budget;
use crate::codec::msgpack::error::ReadError;
use crate::codec::msgpack::scan;
use crate::codec::msgpack::token::{Input, Token, utf8};

/// An iterator over the entries of a map. It ends after the first error.
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
                let (budget, bytes) = (scan::message_budget(body.len(), left), body.len());
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
        let value = scan::skip_value(&mut self.input, &mut self.budget)?;
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

/// Reads text, or UTF-8 in bytes; `None` for nil.
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
