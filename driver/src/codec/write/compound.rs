//! Arrays and objects that are being written.

use serde::ser::{self, Serialize};

use crate::codec::error::WriteError as Error;
use crate::codec::write::format::{Format, Shape};
use crate::codec::write::text_only::TextOnly;
use crate::codec::write::writer::Writer;

/// An array or an object that is being written.
pub(crate) struct Compound<'a, F: Format> {
    out: &'a mut Vec<u8>,
    /// Depth of the members.
    depth: u8,
    shape: Shape,
    open: F::Open,
    /// Whether it is the value of an enum's variant.
    in_variant: bool,
}

impl<'a, F: Format> Compound<'a, F> {
    /// Begins an array or an object.
    pub(super) fn open(
        writer: Writer<'a, F>,
        shape: Shape,
        length: Option<usize>,
    ) -> Result<Self, Error> {
        let depth = writer.inner_depth()?;
        let open = F::open(writer.out, shape, length)?;
        Ok(Self { out: writer.out, depth, shape, open, in_variant: false })
    }

    /// Begins an array or an object as the value of an enum's variant.
    pub(super) fn open_variant(
        writer: Writer<'a, F>,
        variant: &str,
        shape: Shape,
        length: usize,
    ) -> Result<Self, Error> {
        let depth = writer.inner_depth()?;
        F::open_variant(writer.out, variant)?;
        let compound = Self::open(Writer::new(writer.out, depth), shape, Some(length))?;
        Ok(Self { in_variant: true, ..compound })
    }

    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        value.serialize(Writer::<F>::new(self.out, self.depth))
    }

    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        F::begin_member(self.out, &mut self.open);
        self.value(value)
    }

    fn key<K: Serialize + ?Sized>(&mut self, key: &K) -> Result<(), Error> {
        F::begin_member(self.out, &mut self.open);
        F::push_key(self.out, key, self.depth)?;
        F::end_key(self.out);
        Ok(())
    }

    fn field<T: Serialize + ?Sized>(&mut self, key: &str, value: &T) -> Result<(), Error> {
        F::begin_member(self.out, &mut self.open);
        F::push_str(self.out, key)?;
        F::end_key(self.out);
        self.value(value)
    }

    fn close(self) -> Result<(), Error> {
        F::close(self.out, self.shape, self.open)?;
        if self.in_variant {
            F::close_variant(self.out);
        }
        Ok(())
    }
}

/// Implements the traits of arrays, which differ in name only.
macro_rules! array {
    ($($of:ident $method:ident;)*) => {
        $(impl<F: Format> ser::$of for Compound<'_, F> {
            type Ok = ();
            type Error = Error;
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
                self.element(value)
            }
            fn end(self) -> Result<(), Error> {
                self.close()
            }
        })*
    };
}
array! {
    SerializeSeq serialize_element;
    SerializeTuple serialize_element;
    SerializeTupleStruct serialize_field;
    SerializeTupleVariant serialize_field;
}

impl<F: Format> ser::SerializeMap for Compound<'_, F> {
    type Ok = ();
    type Error = Error;
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        self.key(key)
    }
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.value(value)
    }
    fn end(self) -> Result<(), Error> {
        self.close()
    }
}

impl<F: Format> ser::SerializeStructVariant for Compound<'_, F> {
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
        self.close()
    }
}

/// A struct: an object, or a number or raw value of `serde_json`.
pub(crate) enum Fields<'a, F: Format> {
    Object(Compound<'a, F>),
    Number(Writer<'a, F>),
    Raw(Writer<'a, F>),
}

impl<F: Format> ser::SerializeStruct for Fields<'_, F> {
    type Ok = ();
    type Error = Error;
    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        match self {
            Self::Object(object) => object.field(key, value),
            Self::Number(writer) => {
                value.serialize(TextOnly(|digits: &str| F::push_number(writer.out, digits)))
            }
            Self::Raw(writer) => {
                value.serialize(TextOnly(|text: &str| F::push_raw(writer.out, text, writer.depth)))
            }
        }
    }
    fn end(self) -> Result<(), Error> {
        match self {
            Self::Object(object) => object.close(),
            Self::Number(_) | Self::Raw(_) => Ok(()),
        }
    }
}
