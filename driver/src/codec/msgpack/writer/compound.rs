//! Arrays and maps under way, their keys, and the two private structs of `serde_json`.
//!
//! What must become something else (a key that is no text, a number's digits, a raw value's text)
//! is written first as what it is, looked at, and replaced: that needs no serializer of its own.
//! Invariant: the head says as many elements as were written, whatever length was announced.

use serde::ser::{self, Serialize};

use crate::codec::error::WriteError as Error;
use crate::codec::msgpack::frame::{push_float, push_signed, push_str, push_unsigned};
use crate::codec::msgpack::key::key_text;
use crate::codec::msgpack::token::{Input, Token, utf8};
use crate::codec::msgpack::writer::{Writer, push_head};

/// What the elements add up to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    Array,
    Map,
    /// The one field is the digits of a number.
    Number,
    /// The one field is JSON text.
    Raw,
}

/// An array or a map under way; `finish` sets its head right.
pub(super) struct Compound<'a> {
    out: &'a mut Vec<u8>,
    /// Depth of the elements.
    depth: u8,
    shape: Shape,
    /// Where the head begins and where it ends.
    head: std::ops::Range<usize>,
    claimed: u32,
    written: usize,
}

impl<'a> Compound<'a> {
    pub(super) fn open(out: &'a mut Vec<u8>, depth: u8, shape: Shape, claimed: u32) -> Self {
        let begin = out.len();
        push_head(out, shape, claimed);
        let head = begin..out.len();
        Self { out, depth, shape, head, claimed, written: 0 }
    }

    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        value.serialize(Writer { out: self.out, depth: self.depth })
    }

    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.written += 1;
        self.value(value)
    }

    pub(super) fn field<T: Serialize + ?Sized>(
        &mut self,
        key: &str,
        value: &T,
    ) -> Result<(), Error> {
        if matches!(self.shape, Shape::Map) {
            push_str(self.out, key)?;
        }
        self.element(value)
    }

    pub(super) fn finish(self) -> Result<(), Error> {
        match self.shape {
            Shape::Array | Shape::Map => {}
            Shape::Number => return become_number(self.out, self.head.start),
            Shape::Raw => return become_content(self.out, self.head.start, self.depth),
        }
        let length = u32::try_from(self.written).map_err(|_| Error::TooLong)?;
        if length != self.claimed {
            let mut head = Vec::new();
            push_head(&mut head, self.shape, length);
            self.out.splice(self.head, head);
        }
        Ok(())
    }
}

/// The text written from `at` on, if it is one piece of text.
fn written_text(out: &[u8], at: usize) -> Result<&str, Error> {
    match Input::new(&out[at..]).token() {
        Ok(Token::Text(text)) => utf8(text).map_err(ser::Error::custom),
        _ => Err(ser::Error::custom("a number or a raw value came without its text")),
    }
}

/// Replaces digits by the number they say: an integer if they are one, or else a float.
fn become_number(out: &mut Vec<u8>, at: usize) -> Result<(), Error> {
    let digits = written_text(out, at)?;
    if digits.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E')) {
        let value = digits.parse().map_err(ser::Error::custom)?;
        out.truncate(at);
        push_float(out, value);
    } else if let Ok(value) = digits.parse() {
        out.truncate(at);
        push_unsigned(out, value);
    } else {
        let value = digits.parse().map_err(|_| Error::IntegerTooLarge)?;
        out.truncate(at);
        push_signed(out, value);
    }
    Ok(())
}

/// Replaces JSON text by what it says.
fn become_content(out: &mut Vec<u8>, at: usize, depth: u8) -> Result<(), Error> {
    let content: serde_json::Value =
        crate::codec::json::from_slice(written_text(out, at)?.as_bytes())
            .map_err(ser::Error::custom)?;
    out.truncate(at);
    content.serialize(Writer { out, depth })
}

/// Replaces a key that is no text by the text that JSON has for it.
fn become_key(out: &mut Vec<u8>, at: usize) -> Result<(), Error> {
    let token = Input::new(&out[at..]).token().map_err(|_| Error::Key)?;
    if matches!(token, Token::Text(_)) {
        return Ok(());
    }
    let key = key_text(token).map_err(|_| Error::Key)?.into_owned();
    out.truncate(at);
    push_str(out, &key)
}

impl ser::SerializeSeq for Compound<'_> {
    type Ok = ();
    type Error = Error;
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.element(value)
    }
    fn end(self) -> Result<(), Error> {
        self.finish()
    }
}

impl ser::SerializeTuple for Compound<'_> {
    type Ok = ();
    type Error = Error;
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.element(value)
    }
    fn end(self) -> Result<(), Error> {
        self.finish()
    }
}

impl ser::SerializeTupleStruct for Compound<'_> {
    type Ok = ();
    type Error = Error;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.element(value)
    }
    fn end(self) -> Result<(), Error> {
        self.finish()
    }
}

impl ser::SerializeTupleVariant for Compound<'_> {
    type Ok = ();
    type Error = Error;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.element(value)
    }
    fn end(self) -> Result<(), Error> {
        self.finish()
    }
}

impl ser::SerializeMap for Compound<'_> {
    type Ok = ();
    type Error = Error;
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        let at = self.out.len();
        self.value(key)?;
        become_key(self.out, at)
    }
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.element(value)
    }
    fn end(self) -> Result<(), Error> {
        self.finish()
    }
}

impl ser::SerializeStruct for Compound<'_> {
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
        self.finish()
    }
}

impl ser::SerializeStructVariant for Compound<'_> {
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
        self.finish()
    }
}
