//! A `serde` serializer that writes msgpack straight into a byte vector.
//!
//! Shapes follow `serde_json` (externally tagged enums, structs as maps, `None` as nil), and two
//! private conventions of `serde_json` are honoured at every depth: its arbitrary-precision numbers
//! become integers and floats, its raw values what their text says. Bytes stay bytes and floats
//! that are no numbers stay floats, since msgpack has both. Not here: integers beyond 64 bits, for
//! which msgpack has no form; Python's packer raises `OverflowError`.

use std::io::Write as _;

use serde::ser::{self, Serialize};

use crate::codec::budget::DEPTH_MAX;
use crate::codec::error::WriteError as Error;
use crate::codec::msgpack::frame::{
    push_array, push_bool, push_bytes, push_float, push_map, push_nil, push_signed, push_str,
    push_unsigned,
};
use crate::codec::msgpack::writer::compound::{Compound, Shape};
use crate::codec::reserved_keys::{NUMBER, RAW_VALUE};

mod compound;

/// Appends `value` to `out`. On an error `out` is as long as before.
pub(crate) fn write<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) -> Result<(), Error> {
    let before = out.len();
    let written = value.serialize(Writer { out, depth: 0 });
    if written.is_err() {
        out.truncate(before);
    }
    written
}

struct Writer<'a> {
    out: &'a mut Vec<u8>,
    depth: u8,
}

impl<'a> Writer<'a> {
    /// Begins an array or a map. A length not known yet counts as none and is set right at the end.
    fn open(self, shape: Shape, length: Option<usize>) -> Result<Compound<'a>, Error> {
        if self.depth == DEPTH_MAX {
            return Err(Error::TooDeep);
        }
        let claimed = u32::try_from(length.unwrap_or(0)).map_err(|_| Error::TooLong)?;
        Ok(Compound::open(self.out, self.depth + 1, shape, claimed))
    }

    /// Begins a map of one, whose value is what the variant holds.
    fn open_variant(
        self,
        variant: &str,
        shape: Shape,
        length: usize,
    ) -> Result<Compound<'a>, Error> {
        if self.depth == DEPTH_MAX {
            return Err(Error::TooDeep);
        }
        push_map(self.out, 1);
        push_str(self.out, variant)?;
        Writer { out: self.out, depth: self.depth + 1 }.open(shape, Some(length))
    }
}

impl<'a> ser::Serializer for Writer<'a> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Compound<'a>;
    type SerializeTuple = Compound<'a>;
    type SerializeTupleStruct = Compound<'a>;
    type SerializeTupleVariant = Compound<'a>;
    type SerializeMap = Compound<'a>;
    type SerializeStruct = Compound<'a>;
    type SerializeStructVariant = Compound<'a>;

    fn serialize_bool(self, value: bool) -> Result<(), Error> {
        push_bool(self.out, value);
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
        match (u64::try_from(value), i64::try_from(value)) {
            (Ok(value), _) => self.serialize_u64(value),
            (_, Ok(value)) => self.serialize_i64(value),
            _ => Err(Error::IntegerTooLarge),
        }
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
        self.serialize_u64(value.try_into().map_err(|_| Error::IntegerTooLarge)?)
    }
    /// In its own shortest digits, as the JSON writer has it: `0.1f32` reaches Python as `0.1`.
    fn serialize_f32(self, value: f32) -> Result<(), Error> {
        let mut text = [0; 24];
        let mut rest = &mut text[..];
        write!(rest, "{value:e}").map_err(ser::Error::custom)?;
        let written = 24 - rest.len();
        let digits = str::from_utf8(&text[..written]).map_err(ser::Error::custom)?;
        self.serialize_f64(digits.parse().map_err(ser::Error::custom)?)
    }
    fn serialize_f64(self, value: f64) -> Result<(), Error> {
        push_float(self.out, value);
        Ok(())
    }
    fn serialize_char(self, value: char) -> Result<(), Error> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }
    fn serialize_str(self, value: &str) -> Result<(), Error> {
        push_str(self.out, value)
    }
    fn serialize_bytes(self, value: &[u8]) -> Result<(), Error> {
        push_bytes(self.out, value)
    }
    fn serialize_none(self) -> Result<(), Error> {
        self.serialize_unit()
    }
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }
    fn serialize_unit(self) -> Result<(), Error> {
        push_nil(self.out);
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
        let mut map = self.open(Shape::Map, Some(1))?;
        map.field(variant, value)?;
        map.finish()
    }
    fn serialize_seq(self, length: Option<usize>) -> Result<Compound<'a>, Error> {
        self.open(Shape::Array, length)
    }
    fn serialize_tuple(self, length: usize) -> Result<Compound<'a>, Error> {
        self.open(Shape::Array, Some(length))
    }
    fn serialize_tuple_struct(self, _: &'static str, length: usize) -> Result<Compound<'a>, Error> {
        self.open(Shape::Array, Some(length))
    }
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Compound<'a>, Error> {
        self.open_variant(variant, Shape::Array, length)
    }
    fn serialize_map(self, length: Option<usize>) -> Result<Compound<'a>, Error> {
        self.open(Shape::Map, length)
    }
    fn serialize_struct(self, name: &'static str, length: usize) -> Result<Compound<'a>, Error> {
        match name {
            NUMBER => Ok(Compound::open(self.out, self.depth, Shape::Number, 0)),
            RAW_VALUE => Ok(Compound::open(self.out, self.depth, Shape::Raw, 0)),
            _ => self.open(Shape::Map, Some(length)),
        }
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Compound<'a>, Error> {
        self.open_variant(variant, Shape::Map, length)
    }
}

/// The head of an array or a map; the private structs have none.
fn push_head(out: &mut Vec<u8>, shape: Shape, length: u32) {
    match shape {
        Shape::Array => push_array(out, length),
        Shape::Map => push_map(out, length),
        Shape::Number | Shape::Raw => {}
    }
}
