//! A serializer for the text of a number or of a raw value of `serde_json`.

use serde::ser::{self, Serialize};

use crate::codec::error::WriteError as Error;
use crate::codec::write::refuse::{refuse, refuse_compounds};

/// Passes text to a function and refuses other values.
pub(super) struct TextOnly<W>(pub(super) W);

fn no_text() -> Error {
    ser::Error::custom("a number or a raw value came without its text")
}

impl<W: FnOnce(&str) -> Result<(), Error>> ser::Serializer for TextOnly<W> {
    type Ok = ();
    type Error = Error;
    refuse_compounds!(no_text());

    fn serialize_str(self, text: &str) -> Result<(), Error> {
        self.0(text)
    }
    fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Result<(), Error> {
        Err(no_text())
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: &T,
    ) -> Result<(), Error> {
        Err(no_text())
    }
    refuse! { no_text() =>
        serialize_bool(bool) -> ();
        serialize_i8(i8) -> ();
        serialize_i16(i16) -> ();
        serialize_i32(i32) -> ();
        serialize_i64(i64) -> ();
        serialize_u8(u8) -> ();
        serialize_u16(u16) -> ();
        serialize_u32(u32) -> ();
        serialize_u64(u64) -> ();
        serialize_f32(f32) -> ();
        serialize_f64(f64) -> ();
        serialize_char(char) -> ();
        serialize_bytes(&[u8]) -> ();
        serialize_none() -> ();
        serialize_unit() -> ();
        serialize_unit_struct(&'static str) -> ();
        serialize_unit_variant(&'static str, u32, &'static str) -> ();
    }
}
