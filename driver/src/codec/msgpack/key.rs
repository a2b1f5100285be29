//! Map keys: text, written and read.
//!
//! Numbers, booleans and nil become the text that Python's `json` has for them, so a map with
//! integer keys is the same in both formats. A receiver whose keys are numbers or booleans reads
//! them from that text, as with `serde_json`. Not here: keys that are arrays or maps, which Python
//! cannot hash either.

use std::borrow::Cow;

use serde::de::{self, IntoDeserializer, Visitor};

use crate::codec::msgpack::error::ReadError as Error;
use crate::codec::msgpack::extension::{ExtensionValue, decode_extension};
use crate::codec::msgpack::token::{Token, utf8};

/// Returns the text of a key.
pub(super) fn key_text(token: Token<'_>) -> Result<Cow<'_, str>, Error> {
    Ok(match token {
        Token::Text(text) | Token::Bytes(text) => utf8(text)?.into(),
        Token::Nil => "null".into(),
        Token::Bool(value) => if value { "true" } else { "false" }.into(),
        Token::Unsigned(value) => value.to_string().into(),
        Token::Signed(value) => value.to_string().into(),
        Token::Single(value) => float_text(&value)?.into(),
        Token::Double(value) => float_text(&value)?.into(),
        Token::Extension(kind, payload) => match decode_extension(kind, payload)? {
            ExtensionValue::Text(text) => text.into(),
            ExtensionValue::Integer(value) => value.to_string().into(),
            ExtensionValue::Set(_) => return Err(Error::Key),
        },
        Token::Array(_) | Token::Map(_) => return Err(Error::Key),
    })
}

/// Returns the text that JSON has for a float.
fn float_text(value: &impl serde::Serialize) -> Result<String, Error> {
    let mut text = Vec::new();
    crate::codec::json::write::<0, _>(&mut text, value).map_err(|_| Error::Key)?;
    String::from_utf8(text).map_err(|_| Error::Key)
}

/// Deserializes a key from its text.
pub(super) struct Key<'de>(pub(super) Cow<'de, str>);

/// Declares methods that parse the text of a key. The visitor refuses text that cannot be parsed.
macro_rules! parsed {
    ($($method:ident $visit:ident;)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            match self.0.parse() {
                Ok(value) => visitor.$visit(value),
                Err(_) => self.deserialize_any(visitor),
            }
        })*
    };
}

impl<'de> de::Deserializer<'de> for Key<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
            Cow::Owned(text) => visitor.visit_string(text),
        }
    }
    parsed! {
        deserialize_bool visit_bool;
        deserialize_i8 visit_i8;
        deserialize_i16 visit_i16;
        deserialize_i32 visit_i32;
        deserialize_i64 visit_i64;
        deserialize_i128 visit_i128;
        deserialize_u8 visit_u8;
        deserialize_u16 visit_u16;
        deserialize_u32 visit_u32;
        deserialize_u64 visit_u64;
        deserialize_u128 visit_u128;
        deserialize_f32 visit_f32;
        deserialize_f64 visit_f64;
    }
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_enum(IntoDeserializer::<Error>::into_deserializer(self.0))
    }
    serde::forward_to_deserialize_any! {
        char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct
        identifier ignored_any
    }
}
