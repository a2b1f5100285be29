//! A `serde` serializer that writes Python's JSON straight into a byte vector.
//!
//! `LEVEL` is the number of JSON strings the output will sit in (see `escape`). Shapes follow
//! `serde_json` (externally tagged enums, `None` as `null`); bytes are UTF-8 text as in oslo's
//! `jsonutils`. Two private conventions of `serde_json` are honoured: its arbitrary-precision
//! numbers and its raw values.

use serde::ser::{self, Serialize};

use crate::codec::budget::DEPTH_MAX;
use crate::codec::error::WriteError as Error;
use crate::codec::json::escape::{backslash, push_text, push_wide, quote};
use crate::codec::json::number::{push_float, push_float32, push_signed, push_unsigned};
use crate::codec::reserved_keys::{NUMBER, RAW_VALUE};

/// Appends `value` to `out` as the content of `LEVEL` enclosing JSON strings. On an error `out`
/// keeps what was written so far; callers truncate.
pub(crate) fn write<const LEVEL: usize, T: Serialize + ?Sized>(
    out: &mut Vec<u8>,
    value: &T,
) -> Result<(), Error> {
    value.serialize(Writer::<LEVEL> { out, depth: 0 })
}

struct Writer<'a, const LEVEL: usize> {
    out: &'a mut Vec<u8>,
    depth: u8,
}

/// An array or object under way; `close` ends it.
struct Compound<'a, const LEVEL: usize> {
    out: &'a mut Vec<u8>,
    depth: u8,
    first: bool,
    close: &'static [u8],
}

impl<'a, const LEVEL: usize> Writer<'a, LEVEL> {
    fn string(self, text: &str) {
        self.out.extend_from_slice(quote::<LEVEL>());
        push_text::<LEVEL>(self.out, text);
        self.out.extend_from_slice(quote::<LEVEL>());
    }

    fn open(self, open: u8, close: &'static [u8]) -> Result<Compound<'a, LEVEL>, Error> {
        if self.depth == DEPTH_MAX {
            return Err(Error::TooDeep);
        }
        self.out.push(open);
        Ok(Compound { out: self.out, depth: self.depth + 1, first: true, close })
    }

    fn open_variant(
        self,
        variant: &str,
        open: u8,
        close: &'static [u8],
    ) -> Result<Compound<'a, LEVEL>, Error> {
        let mut outer = self.open(b'{', b"}")?;
        outer.key(variant);
        Writer::<LEVEL> { out: outer.out, depth: outer.depth }.open(open, close)
    }
}

impl<const LEVEL: usize> Compound<'_, LEVEL> {
    fn separate(&mut self) {
        if !self.first {
            self.out.extend_from_slice(b", ");
        }
        self.first = false;
    }

    fn key(&mut self, key: &str) {
        self.separate();
        self.value_writer().string(key);
        self.out.extend_from_slice(b": ");
    }

    fn value_writer(&mut self) -> Writer<'_, LEVEL> {
        Writer { out: self.out, depth: self.depth }
    }

    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.separate();
        value.serialize(self.value_writer())
    }

    fn field<T: Serialize + ?Sized>(&mut self, key: &str, value: &T) -> Result<(), Error> {
        self.key(key);
        value.serialize(self.value_writer())
    }

    fn finish(self) {
        self.out.extend_from_slice(self.close);
    }
}

impl<'a, const LEVEL: usize> ser::Serializer for Writer<'a, LEVEL> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Compound<'a, LEVEL>;
    type SerializeTuple = Compound<'a, LEVEL>;
    type SerializeTupleStruct = Compound<'a, LEVEL>;
    type SerializeTupleVariant = Compound<'a, LEVEL>;
    type SerializeMap = Compound<'a, LEVEL>;
    type SerializeStruct = Fields<'a, LEVEL>;
    type SerializeStructVariant = Compound<'a, LEVEL>;

    fn serialize_bool(self, value: bool) -> Result<(), Error> {
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
        Ok(())
    }
    fn serialize_i8(self, value: i8) -> Result<(), Error> {
        self.serialize_i64(value.into())
    }
    fn serialize_i16(self, value: i16) -> Result<(), Error> {
        self.serialize_i64(value.into())
    }
    fn serialize_i32(self, value: i32) -> Result<(), Error> {
        self.serialize_i64(value.into())
    }
    fn serialize_i64(self, value: i64) -> Result<(), Error> {
        push_signed(self.out, value);
        Ok(())
    }
    fn serialize_i128(self, value: i128) -> Result<(), Error> {
        self.collect_plain(format_args!("{value}"))
    }
    fn serialize_u8(self, value: u8) -> Result<(), Error> {
        self.serialize_u64(value.into())
    }
    fn serialize_u16(self, value: u16) -> Result<(), Error> {
        self.serialize_u64(value.into())
    }
    fn serialize_u32(self, value: u32) -> Result<(), Error> {
        self.serialize_u64(value.into())
    }
    fn serialize_u64(self, value: u64) -> Result<(), Error> {
        push_unsigned(self.out, value);
        Ok(())
    }
    fn serialize_u128(self, value: u128) -> Result<(), Error> {
        self.collect_plain(format_args!("{value}"))
    }
    fn serialize_f32(self, value: f32) -> Result<(), Error> {
        push_float32(self.out, value);
        Ok(())
    }
    fn serialize_f64(self, value: f64) -> Result<(), Error> {
        push_float(self.out, value);
        Ok(())
    }
    fn serialize_char(self, value: char) -> Result<(), Error> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }
    fn serialize_str(self, value: &str) -> Result<(), Error> {
        self.string(value);
        Ok(())
    }
    fn serialize_bytes(self, value: &[u8]) -> Result<(), Error> {
        self.serialize_str(std::str::from_utf8(value).map_err(|_| Error::NotText)?)
    }
    fn serialize_none(self) -> Result<(), Error> {
        self.serialize_unit()
    }
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }
    fn serialize_unit(self) -> Result<(), Error> {
        self.out.extend_from_slice(b"null");
        Ok(())
    }
    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Error> {
        self.serialize_unit()
    }
    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), Error> {
        self.serialize_str(variant)
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        value.serialize(self)
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        let mut object = self.open(b'{', b"}")?;
        object.field(variant, value)?;
        object.finish();
        Ok(())
    }
    fn serialize_seq(self, _: Option<usize>) -> Result<Compound<'a, LEVEL>, Error> {
        self.open(b'[', b"]")
    }
    fn serialize_tuple(self, _: usize) -> Result<Compound<'a, LEVEL>, Error> {
        self.open(b'[', b"]")
    }
    fn serialize_tuple_struct(
        self,
        _: &'static str,
        _: usize,
    ) -> Result<Compound<'a, LEVEL>, Error> {
        self.open(b'[', b"]")
    }
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Compound<'a, LEVEL>, Error> {
        self.open_variant(variant, b'[', b"]}")
    }
    fn serialize_map(self, _: Option<usize>) -> Result<Compound<'a, LEVEL>, Error> {
        self.open(b'{', b"}")
    }
    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Fields<'a, LEVEL>, Error> {
        match name {
            NUMBER => Ok(Fields::Number(self)),
            RAW_VALUE => Ok(Fields::Raw(self)),
            _ => self.open(b'{', b"}").map(Fields::Object),
        }
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Compound<'a, LEVEL>, Error> {
        self.open_variant(variant, b'{', b"}}")
    }
    fn collect_str<T: std::fmt::Display + ?Sized>(self, value: &T) -> Result<(), Error> {
        self.out.extend_from_slice(quote::<LEVEL>());
        let written = std::fmt::write(&mut Escaped::<LEVEL>(self.out), format_args!("{value}"));
        self.out.extend_from_slice(quote::<LEVEL>());
        written.map_err(ser::Error::custom)
    }
}

impl<const LEVEL: usize> Writer<'_, LEVEL> {
    /// Writes text that is known to need no quotes and no escapes.
    fn collect_plain(self, text: std::fmt::Arguments<'_>) -> Result<(), Error> {
        std::fmt::write(&mut Escaped::<LEVEL>(self.out), text).map_err(ser::Error::custom)
    }

    /// A number given as its text: integers verbatim whatever their size, floats as Python prints
    /// them.
    fn number_text(self, text: &str) -> Result<(), Error> {
        let is_float = text.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E'));
        match text.parse::<f64>() {
            Ok(value) if is_float && value.is_finite() => push_float(self.out, value),
            _ => self.out.extend_from_slice(text.as_bytes()),
        }
        Ok(())
    }

    /// JSON text made elsewhere: kept as it is, but for what the nesting and ASCII ask.
    fn raw_text(self, text: &str) -> Result<(), Error> {
        for character in text.chars() {
            match character {
                '"' => self.out.extend_from_slice(quote::<LEVEL>()),
                '\\' => self.out.extend_from_slice(backslash::<LEVEL>()),
                '\n' | '\r' | '\t' => self.out.push(b' '),
                '\x00'..='\x7f' => self.out.push(character as u8),
                wide => push_wide::<LEVEL>(self.out, wide),
            }
        }
        Ok(())
    }
}

struct Escaped<'a, const LEVEL: usize>(&'a mut Vec<u8>);

impl<const LEVEL: usize> std::fmt::Write for Escaped<'_, LEVEL> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        push_text::<LEVEL>(self.0, text);
        Ok(())
    }
}

mod compound;
use crate::codec::json::writer::compound::Fields;
