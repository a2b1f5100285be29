//! Whether a value of msgpack can be decoded.
//!
//! Invariants: nothing recurses, and nothing is allocated but the text of a key or of an extension,
//! which is dropped at once.

use crate::codec::msgpack::error::ReadError;
use crate::codec::msgpack::extension::{Meaning, meaning};
use crate::codec::msgpack::key::key_text;
use crate::codec::msgpack::token::{Input, Token, utf8};
use crate::codec::msgpack::walk::walk;

/// Refuses what cannot be decoded as a value of JSON. The value is not decoded.
pub(crate) fn check_value(value: &[u8]) -> Result<(), ReadError> {
    let mut head = Input::new(value);
    if let Token::Text(text) = head.token()? {
        // Most of them.
        head.finish()?;
        return utf8(text).map(drop);
    }
    walk(value, |token, is_key| match token {
        key if is_key => key_text(key).map(drop),
        Token::Text(text) | Token::Bytes(text) => utf8(text).map(drop),
        Token::Extension(kind, payload) => match meaning(kind, payload)? {
            Meaning::Integer(value) if u64::try_from(value).is_err() => {
                i64::try_from(value).map(drop).map_err(|_| ReadError::Extension(kind))
            }
            _ => Ok(()),
        },
        _ => Ok(()),
    })
}
