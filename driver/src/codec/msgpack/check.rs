//! Whether a value of msgpack can be decoded.
//!
//! Invariants: nothing recurses, and nothing is allocated but the text of a key or of an extension,
//! which is dropped at once.

use crate::codec::msgpack::error::ReadError;
use crate::codec::msgpack::extension::{ExtensionValue, decode_extension};
use crate::codec::msgpack::key::key_text;
use crate::codec::msgpack::token::{Input, Token, utf8};
use crate::codec::msgpack::walk::walk;

/// Returns an error if the value cannot be decoded as a value of JSON. Does not decode it.
pub(crate) fn check_value(value: &[u8]) -> Result<(), ReadError> {
    let mut input = Input::new(value);
    // Most values are text or another scalar.
    match input.token()? {
        Token::Text(text) => {
            input.finish()?;
            return utf8(text).map(drop);
        }
        Token::Bytes(_) | Token::Array(_) | Token::Map(_) | Token::Extension(..) => {}
        _ => return input.finish(),
    }
    walk(value, |token, is_key| match token {
        key if is_key => key_text(key).map(drop),
        Token::Text(text) | Token::Bytes(text) => utf8(text).map(drop),
        Token::Extension(kind, payload) => match decode_extension(kind, payload)? {
            ExtensionValue::Integer(value) if u64::try_from(value).is_err() => {
                i64::try_from(value).map(drop).map_err(|_| ReadError::Extension(kind))
            }
            _ => Ok(()),
        },
        _ => Ok(()),
    })
}
