//! Arrays, objects, their keys, and the two private structs of `serde_json`.
//!
//! Keys follow Python's `json.dumps`: numbers, booleans and null become their text.

use serde::ser::{self, Impossible, Serialize};

use crate::codec::error::WriteError as Error;
use crate::codec::json::escape::quote;
use crate::codec::json::writer::{Compound, Writer};
use crate::codec::reserved_keys::NUMBER;

impl<const LEVEL: usize> ser::SerializeSeq for Compound<'_, LEVEL> {
    type Ok = ();
    type Error = Error;
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.element(value)
    }
    fn end(self) -> Result<(), Error> {
        self.finish();
        Ok(())
    }
}

impl<const LEVEL: usize> ser::SerializeTuple for Compound<'_, LEVEL> {
    type Ok = ();
    type Error = Error;
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.element(value)
    }
    fn end(self) -> Result<(), Error> {
        self.finish();
        Ok(())
    }
}

impl<const LEVEL: usize> ser::SerializeTupleStruct for Compound<'_, LEVEL> {
    type Ok = ();
    type Error = Error;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.element(value)
    }
    fn end(self) -> Result<(), Error> {
        self.finish();
        Ok(())
    }
}

impl<const LEVEL: usize> ser::SerializeTupleVariant for Compound<'_, LEVEL> {
    type Ok = ();
    type Error = Error;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.element(value)
    }
    fn end(self) -> Result<(), Error> {
        self.finish();
        Ok(())
    }
}

impl<const LEVEL: usize> ser::SerializeMap for Compound<'_, LEVEL> {
    type Ok = ();
    type Error = Error;
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        self.separate();
        key.serialize(Key(self.value_writer()))?;
        self.out.extend_from_slice(b": ");
        Ok(())
    }
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        value.serialize(self.value_writer())
    }
    fn end(self) -> Result<(), Error> {
        self.finish();
        Ok(())
    }
}

impl<const LEVEL: usize> ser::SerializeStructVariant for Compound<'_, LEVEL> {
    type Ok = ();
    type Error = Error;
    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        self.field(key, value)
    }
    fn end(self) -> Result<(), Error> {
        self.finish();
        Ok(())
    }
}

/// A struct: an object, or one of the shapes `serde_json` hides behind a reserved name.
pub(super) enum Fields<'a, const LEVEL: usize> {
    Object(Compound<'a, LEVEL>),
    Number(Writer<'a, LEVEL>),
    Raw(Writer<'a, LEVEL>),
}

impl<const LEVEL: usize> ser::SerializeStruct for Fields<'_, LEVEL> {
    type Ok = ();
    type Error = Error;
    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        match self {
            Self::Object(object) => object.field(key, value),
            Self::Number(writer) | Self::Raw(writer) => {
                let writer = Writer::<LEVEL> { out: writer.out, depth: writer.depth };
                value.serialize(Verbatim { writer, is_number: key == NUMBER })
            }
        }
    }
    fn end(self) -> Result<(), Error> {
        if let Self::Object(object) = self {
            object.finish();
        }
        Ok(())
    }
}

/// Declares the serializer methods that a reduced serializer does not support, all in one shape.
macro_rules! refuse {
    ($error:expr => $($method:ident($($kind:ty),*) $(-> $result:ty)?;)*) => {
        $(fn $method(self, $(_: $kind),*) -> refuse!(@result $($result)?) { Err($error) })*
    };
    (@result) => { Result<(), Error> };
    (@result $result:ty) => { Result<$result, Error> };
}

/// Writes one map key, always as a JSON string.
struct Key<'a, const LEVEL: usize>(Writer<'a, LEVEL>);

impl<const LEVEL: usize> Key<'_, LEVEL> {
    fn quoted(self, value: impl Serialize) -> Result<(), Error> {
        let Writer { out, depth } = self.0;
        out.extend_from_slice(quote::<LEVEL>());
        value.serialize(Writer::<LEVEL> { out, depth })?;
        out.extend_from_slice(quote::<LEVEL>());
        Ok(())
    }
}

impl<const LEVEL: usize> ser::Serializer for Key<'_, LEVEL> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Impossible<(), Error>;
    type SerializeTuple = Impossible<(), Error>;
    type SerializeTupleStruct = Impossible<(), Error>;
    type SerializeTupleVariant = Impossible<(), Error>;
    type SerializeMap = Impossible<(), Error>;
    type SerializeStruct = Impossible<(), Error>;
    type SerializeStructVariant = Impossible<(), Error>;

    fn serialize_bool(self, value: bool) -> Result<(), Error> {
        self.quoted(value)
    }
    fn serialize_i8(self, value: i8) -> Result<(), Error> {
        self.quoted(value)
    }
    fn serialize_i16(self, value: i16) -> Result<(), Error> {
        self.quoted(value)
    }
    fn serialize_i32(self, value: i32) -> Result<(), Error> {
        self.quoted(value)
    }
    fn serialize_i64(self, value: i64) -> Result<(), Error> {
        self.quoted(value)
    }
    fn serialize_i128(self, value: i128) -> Result<(), Error> {
        self.quoted(value)
    }
    fn serialize_u8(self, value: u8) -> Result<(), Error> {
        self.quoted(value)
    }
    fn serialize_u16(self, value: u16) -> Result<(), Error> {
        self.quoted(value)
    }
    fn serialize_u32(self, value: u32) -> Result<(), Error> {
        self.quoted(value)
    }
    fn serialize_u64(self, value: u64) -> Result<(), Error> {
        self.quoted(value)
    }
    fn serialize_u128(self, value: u128) -> Result<(), Error> {
        self.quoted(value)
    }
    fn serialize_f32(self, value: f32) -> Result<(), Error> {
        self.quoted(value)
    }
    fn serialize_f64(self, value: f64) -> Result<(), Error> {
        self.quoted(value)
    }
    fn serialize_unit(self) -> Result<(), Error> {
        self.quoted(())
    }
    fn serialize_none(self) -> Result<(), Error> {
        self.quoted(())
    }
    fn serialize_char(self, value: char) -> Result<(), Error> {
        self.0.serialize_char(value)
    }
    fn serialize_str(self, value: &str) -> Result<(), Error> {
        self.0.serialize_str(value)
    }
    fn serialize_bytes(self, value: &[u8]) -> Result<(), Error> {
        self.0.serialize_bytes(value)
    }
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }
    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
    ) -> Result<(), Error> {
        self.0.serialize_str(name)
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
        _: &'static str,
        _: &T,
    ) -> Result<(), Error> {
        Err(Error::Key)
    }
    fn collect_str<T: std::fmt::Display + ?Sized>(self, value: &T) -> Result<(), Error> {
        self.0.collect_str(value)
    }
    refuse! { Error::Key =>
        serialize_unit_struct(&'static str);
        serialize_seq(Option<usize>) -> Self::SerializeSeq;
        serialize_tuple(usize) -> Self::SerializeTuple;
        serialize_tuple_struct(&'static str, usize) -> Self::SerializeTupleStruct;
        serialize_tuple_variant(&'static str, u32, &'static str, usize)
            -> Self::SerializeTupleVariant;
        serialize_map(Option<usize>) -> Self::SerializeMap;
        serialize_struct(&'static str, usize) -> Self::SerializeStruct;
        serialize_struct_variant(&'static str, u32, &'static str, usize)
            -> Self::SerializeStructVariant;
    }
}

/// Receives the text of a number or of a raw value, as `serde_json` hands them over.
struct Verbatim<'a, const LEVEL: usize> {
    writer: Writer<'a, LEVEL>,
    is_number: bool,
}

const NOT_TEXT: Error = Error::NotText;

impl<const LEVEL: usize> ser::Serializer for Verbatim<'_, LEVEL> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Impossible<(), Error>;
    type SerializeTuple = Impossible<(), Error>;
    type SerializeTupleStruct = Impossible<(), Error>;
    type SerializeTupleVariant = Impossible<(), Error>;
    type SerializeMap = Impossible<(), Error>;
    type SerializeStruct = Impossible<(), Error>;
    type SerializeStructVariant = Impossible<(), Error>;

    fn serialize_str(self, text: &str) -> Result<(), Error> {
        if self.is_number { self.writer.number_text(text) } else { self.writer.raw_text(text) }
    }
    fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Result<(), Error> {
        Err(NOT_TEXT)
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: &T,
    ) -> Result<(), Error> {
        Err(NOT_TEXT)
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), Error> {
        Err(NOT_TEXT)
    }
    refuse! { NOT_TEXT =>
        serialize_bool(bool);
        serialize_i8(i8);
        serialize_i16(i16);
        serialize_i32(i32);
        serialize_i64(i64);
        serialize_u8(u8);
        serialize_u16(u16);
        serialize_u32(u32);
        serialize_u64(u64);
        serialize_f32(f32);
        serialize_f64(f64);
        serialize_char(char);
        serialize_bytes(&[u8]);
        serialize_none();
        serialize_unit();
        serialize_unit_struct(&'static str);
        serialize_unit_variant(&'static str, u32, &'static str);
        serialize_seq(Option<usize>) -> Self::SerializeSeq;
        serialize_tuple(usize) -> Self::SerializeTuple;
        serialize_tuple_struct(&'static str, usize) -> Self::SerializeTupleStruct;
        serialize_tuple_variant(&'static str, u32, &'static str, usize)
            -> Self::SerializeTupleVariant;
        serialize_map(Option<usize>) -> Self::SerializeMap;
        serialize_struct(&'static str, usize) -> Self::SerializeStruct;
        serialize_struct_variant(&'static str, u32, &'static str, usize)
            -> Self::SerializeStructVariant;
    }
}
