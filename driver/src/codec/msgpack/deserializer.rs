//! A `serde` deserializer over msgpack, which every receiver may take for JSON.
//!
//! It describes itself as JSON does: text where bytes are UTF-8, oslo's extension types as their
//! text, number or array, an enum as text or a map of one. So there is one way into all types, and
//! `serde_json::Value` is a type like others, in which not-a-number and infinity become null (as
//! the JSON reader has them). A type that asks for bytes or floats gets them as they were sent.
//! Bytes are never an array of numbers: text from Python 2 must not pass for a list. Invariant:
//! whatever is asked for, exactly one value is taken from the input, or there is an error.

use serde::Deserialize;
use serde::de::{self, IntoDeserializer, Visitor};

use crate::codec::msgpack::error::ReadError as Error;
use crate::codec::msgpack::extension::{Meaning, meaning};
use crate::codec::msgpack::nested::{Elements, Variant};
use crate::codec::msgpack::reader::Reader;
use crate::codec::msgpack::token::{Input, Token, utf8};
use crate::codec::reserved_keys::RAW_VALUE;

/// Reads a value; all of `value` must be read.
pub(crate) fn from_slice<'a, T: Deserialize<'a>>(value: &'a [u8]) -> Result<T, Error> {
    let mut reader = Reader::new(value);
    let read = T::deserialize(&mut reader)?;
    reader.input.finish()?;
    Ok(read)
}

/// Reads a value as what JSON would have carried.
pub(crate) fn to_value(value: &[u8]) -> Result<serde_json::Value, Error> {
    from_slice(value)
}

impl<'de> Reader<'de> {
    fn array<V: Visitor<'de>>(&mut self, length: u32, visitor: V) -> Result<V::Value, Error> {
        self.nested(|reader| {
            let mut elements = Elements { reader, left: length };
            let value = visitor.visit_seq(&mut elements)?;
            elements.finish()?;
            Ok(value)
        })
    }

    fn map<V: Visitor<'de>>(&mut self, length: u32, visitor: V) -> Result<V::Value, Error> {
        self.nested(|reader| {
            let mut elements = Elements { reader, left: length };
            let value = visitor.visit_map(&mut elements)?;
            elements.finish()?;
            Ok(value)
        })
    }

    fn extension<V: Visitor<'de>>(
        &self,
        kind: i8,
        payload: &'de [u8],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match meaning(kind, payload)? {
            Meaning::Text(text) => visitor.visit_string(text),
            Meaning::Integer(value) => match u64::try_from(value) {
                Ok(value) => visitor.visit_u64(value),
                Err(_) => {
                    visitor.visit_i64(i64::try_from(value).map_err(|_| Error::Extension(kind))?)
                }
            },
            Meaning::Set(elements) => {
                let mut reader = Reader { input: Input::new(elements), depth: self.depth };
                let Token::Array(length) = reader.input.token()? else {
                    return Err(Error::Extension(kind));
                };
                let value = reader.array(length, visitor)?;
                reader.input.finish()?;
                Ok(value)
            }
        }
    }

    /// Bytes that came as text or as bytes: text if they can be.
    fn text<V: Visitor<'de>>(&self, bytes: &'de [u8], visitor: V) -> Result<V::Value, Error> {
        match std::str::from_utf8(bytes) {
            Ok(text) => visitor.visit_borrowed_str(text),
            // What the visitor says of bytes is less than what we know of them.
            Err(_) => visitor.visit_borrowed_bytes(bytes).map_err(|_: Error| Error::NotUtf8),
        }
    }
}

impl<'de> de::Deserializer<'de> for &mut Reader<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.input.token()? {
            Token::Nil => visitor.visit_unit(),
            Token::Bool(value) => visitor.visit_bool(value),
            Token::Unsigned(value) => visitor.visit_u64(value),
            Token::Signed(value) => visitor.visit_i64(value),
            Token::Single(value) => visitor.visit_f32(value),
            Token::Double(value) => visitor.visit_f64(value),
            Token::Text(bytes) | Token::Bytes(bytes) => self.text(bytes, visitor),
            Token::Array(length) => self.array(length, visitor),
            Token::Map(length) => self.map(length, visitor),
            Token::Extension(kind, payload) => self.extension(kind, payload, visitor),
        }
    }
    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let mut ahead = self.input;
        match ahead.token()? {
            Token::Text(bytes) | Token::Bytes(bytes) => {
                self.input = ahead;
                visitor.visit_borrowed_bytes(bytes)
            }
            _ => self.deserialize_any(visitor),
        }
    }
    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_bytes(visitor)
    }
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.input.at_nil() {
            self.input.token()?;
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        if name != RAW_VALUE {
            return visitor.visit_newtype_struct(self);
        }
        let text = serde_json::Value::deserialize(self)?.to_string();
        visitor.visit_map(de::value::MapDeserializer::new([(RAW_VALUE, text)].into_iter()))
    }
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.input.token()? {
            Token::Text(name) | Token::Bytes(name) => {
                let name = utf8(name)?;
                visitor.visit_enum(IntoDeserializer::<Error>::into_deserializer(name))
            }
            Token::Map(1) => self.nested(|reader| visitor.visit_enum(Variant { reader })),
            _ => Err(de::Error::custom("an enum must be text or a map of one entry")),
        }
    }
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.input.skip()?;
        visitor.visit_unit()
    }
    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string unit unit_struct
        seq tuple tuple_struct map struct identifier
    }
}
