//! The serializer of values of any type, in any format.

use std::fmt::Display;

use serde::ser::{self, Serialize};

use crate::codec::error::WriteError as Error;
use crate::codec::reserved_keys::{NUMBER, RAW_VALUE};
use crate::codec::write::compound::{Compound, Fields};
use crate::codec::write::format::{Format, Shape};
use crate::codec::write::writer::Writer;

/// Declares methods of scalars, each with the function of the format that it calls.
macro_rules! scalars {
    ($($method:ident($kind:ty) $push:ident;)*) => {
        $(fn $method(self, value: $kind) -> Result<(), Error> {
            F::$push(self.out, value.into());
            Ok(())
        })*
    };
}

impl<'a, F: Format> ser::Serializer for Writer<'a, F> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Compound<'a, F>;
    type SerializeTuple = Compound<'a, F>;
    type SerializeTupleStruct = Compound<'a, F>;
    type SerializeTupleVariant = Compound<'a, F>;
    type SerializeMap = Compound<'a, F>;
    type SerializeStruct = Fields<'a, F>;
    type SerializeStructVariant = Compound<'a, F>;

    scalars! {
        serialize_bool(bool) push_bool;
        serialize_i8(i8) push_signed;
        serialize_i16(i16) push_signed;
        serialize_i32(i32) push_signed;
        serialize_i64(i64) push_signed;
        serialize_u8(u8) push_unsigned;
        serialize_u16(u16) push_unsigned;
        serialize_u32(u32) push_unsigned;
        serialize_u64(u64) push_unsigned;
        serialize_f32(f32) push_f32;
        serialize_f64(f64) push_f64;
    }
    fn serialize_i128(self, value: i128) -> Result<(), Error> {
        F::push_i128(self.out, value)
    }
    fn serialize_u128(self, value: u128) -> Result<(), Error> {
        F::push_u128(self.out, value)
    }
    fn serialize_char(self, value: char) -> Result<(), Error> {
        F::push_str(self.out, value.encode_utf8(&mut [0; 4]))
    }
    fn serialize_str(self, value: &str) -> Result<(), Error> {
        F::push_str(self.out, value)
    }
    fn serialize_bytes(self, value: &[u8]) -> Result<(), Error> {
        F::push_bytes(self.out, value)
    }
    fn serialize_none(self) -> Result<(), Error> {
        self.serialize_unit()
    }
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }
    fn serialize_unit(self) -> Result<(), Error> {
        F::push_null(self.out);
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
        F::push_str(self.out, variant)
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
        let depth = self.inner_depth()?;
        F::open_variant(self.out, variant)?;
        value.serialize(Writer::<F>::new(self.out, depth))?;
        F::close_variant(self.out);
        Ok(())
    }
    fn serialize_seq(self, length: Option<usize>) -> Result<Compound<'a, F>, Error> {
        Compound::open(self, Shape::Array, length)
    }
    fn serialize_tuple(self, length: usize) -> Result<Compound<'a, F>, Error> {
        Compound::open(self, Shape::Array, Some(length))
    }
    fn serialize_tuple_struct(
        self,
        _: &'static str,
        length: usize,
    ) -> Result<Compound<'a, F>, Error> {
        Compound::open(self, Shape::Array, Some(length))
    }
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Compound<'a, F>, Error> {
        Compound::open_variant(self, variant, Shape::Array, length)
    }
    fn serialize_map(self, length: Option<usize>) -> Result<Compound<'a, F>, Error> {
        Compound::open(self, Shape::Object, length)
    }
    fn serialize_struct(self, name: &'static str, length: usize) -> Result<Fields<'a, F>, Error> {
        match name {
            NUMBER => Ok(Fields::Number(self)),
            RAW_VALUE => Ok(Fields::Raw(self)),
            _ => Compound::open(self, Shape::Object, Some(length)).map(Fields::Object),
        }
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Compound<'a, F>, Error> {
        Compound::open_variant(self, variant, Shape::Object, length)
    }
    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<(), Error> {
        F::push_display(self.out, value)
    }
}
