//! Keys of objects: text, whatever their type.
//!
//! They follow Python's `json.dumps`: numbers, booleans and null become their text.

use std::marker::PhantomData;

use serde::ser::{self, Serialize};

use crate::codec::error::WriteError as Error;
use crate::codec::write::format::Format;
use crate::codec::write::refuse::refuse_compounds;
use crate::codec::write::writer::Writer;

/// Writes one key, always as a JSON string.
pub(super) struct Key<'a, F> {
    out: &'a mut Vec<u8>,
    depth: u8,
    quote: &'static [u8],
    format: PhantomData<F>,
}

impl<'a, F: Format> Key<'a, F> {
    /// A key `depth` arrays and objects down. `quote` is put around what is not text.
    pub(super) fn new(out: &'a mut Vec<u8>, depth: u8, quote: &'static [u8]) -> Self {
        Self { out, depth, quote, format: PhantomData }
    }

    /// The writer of text, which `F` puts in quotes itself.
    fn text(self) -> Writer<'a, F> {
        Writer::new(self.out, self.depth)
    }

    fn quoted(self, value: impl Serialize) -> Result<(), Error> {
        self.out.extend_from_slice(self.quote);
        value.serialize(Writer::<F>::new(self.out, self.depth))?;
        self.out.extend_from_slice(self.quote);
        Ok(())
    }
}

impl<F: Format> ser::Serializer for Key<'_, F> {
    type Ok = ();
    type Error = Error;
    refuse_compounds!(Error::Key);

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
        self.text().serialize_char(value)
    }
    fn serialize_str(self, value: &str) -> Result<(), Error> {
        self.text().serialize_str(value)
    }
    fn serialize_bytes(self, value: &[u8]) -> Result<(), Error> {
        self.text().serialize_bytes(value)
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
        self.text().serialize_str(name)
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        value.serialize(self)
    }
    fn collect_str<T: std::fmt::Display + ?Sized>(self, value: &T) -> Result<(), Error> {
        self.text().collect_str(value)
    }
    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Error> {
        Err(Error::Key)
    }
}
