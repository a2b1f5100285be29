//! A `serde` deserializer of msgpack, for receivers that expect JSON.
//!
//! Values are described as JSON describes them: bytes that are UTF-8 are text, an extension of oslo
//! is its text, number or array, an enum is text or a map of one entry. So every type is read in
//! one way, `serde_json::Value` included, in which NaN and infinity become null, as with the JSON
//! reader. A type that asks for bytes or floats gets them as they were sent. Bytes are never an
//! array of numbers, because text from Python 2 must not be read as a list. Invariant: each read
//! takes exactly one value from the input, or returns an error.

use serde::Deserialize;
use serde::de::{self, IntoDeserializer, Visitor};

use crate::codec::msgpack::error::ReadError as Error;
use crate::codec::msgpack::extension::{ExtensionValue, decode_extension};
use crate::codec::msgpack::nested::{Elements, Variant};
use crate::codec::msgpack::reader::Reader;
use crate::codec::msgpack::token::{Input, Token, utf8};
use crate::codec::reserved_keys::RAW_VALUE;

/// Deserializes a value. Bytes that follow it are an error.
pub(crate) fn from_slice<'a, T: Deserialize<'a>>(value: &'a [u8]) -> Result<T, Error> {
    let mut reader = Reader::new(value);
    let read = T::deserialize(&mut reader)?;
    reader.input.finish()?;
    Ok(read)
}

/// Deserializes a value of JSON.
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
        match decode_extension(kind, payload)? {
            ExtensionValue::Text(text) => visitor.visit_string(text),
            ExtensionValue::Integer(value) => match u64::try_from(value) {
                Ok(value) => visitor.visit_u64(value),
                Err(_) => {
                    visitor.visit_i64(i64::try_from(value).map_err(|_| Error::Extension(kind))?)
                }
            },
            ExtensionValue::Set(elements) => {
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

    /// Reads text or bytes: as text if they are UTF-8.
    fn text<V: Visitor<'de>>(&self, bytes: &'de [u8], visitor: V) -> Result<V::Value, Error> {
        match std::str::from_utf8(bytes) {
            Ok(text) => visitor.visit_borrowed_str(text),
            // This error says more than that of the visitor, which expected another type.
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
