//! Field tables (AMQP 4.2.5.5), read in place.
//!
//! [`TableView`] checks a table once, completely: every key, type octet and length, and the
//! nesting. Invariant: iterating a view never meets malformed bytes. The types are RabbitMQ's
//! dialect of the specification, as amq-protocol reads them: `s` and `U` are 16-bit integers, `l`
//! and `L` both signed 64-bit ones. amq-protocol's `FieldTable` builds tables.

use amq_protocol::types::{AMQPValue, DecimalValue, FieldArray, FieldTable, ShortString};

use crate::wire::cursor::Reader;
use crate::wire::error::WireError;

/// Deepest accepted nesting of tables and arrays, including the outermost table.
///
/// Real headers nest two or three levels; RabbitMQ's `x-death` has an array of tables. Reading is
/// recursive, in amq-protocol as well, so the limit protects the stack from a hostile peer.
pub const TABLE_DEPTH_MAX: usize = 32;

/// A checked field table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableView<'a> {
    content: &'a [u8],
}

/// A checked field array.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ArrayView<'a> {
    content: &'a [u8],
}

/// One value of a table or array.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ValueView<'a> {
    /// `t`
    Boolean(bool),
    /// `b`
    I8(i8),
    /// `B`
    U8(u8),
    /// `s` and `U`
    I16(i16),
    /// `u`
    U16(u16),
    /// `I`
    I32(i32),
    /// `i`
    U32(u32),
    /// `l` and `L`
    I64(i64),
    /// `f`
    F32(f32),
    /// `d`
    F64(f64),
    /// `D`: `value` with `scale` decimal places
    Decimal {
        /// Decimal places.
        scale: u8,
        /// The digits.
        value: u32,
    },
    /// `S`: any bytes, mostly UTF-8
    LongString(&'a [u8]),
    /// `A`
    Array(ArrayView<'a>),
    /// `T`: seconds since 1970
    Timestamp(u64),
    /// `F`
    Table(TableView<'a>),
    /// `x`
    Bytes(&'a [u8]),
    /// `V`
    Void,
}

impl<'a> TableView<'a> {
    /// Checks the content of a table, which are the bytes after its length.
    ///
    /// # Errors
    /// [`WireError::Truncated`], [`WireError::BadUtf8`] for a key,
    /// [`WireError::BadFieldType`], [`WireError::TableTooDeep`].
    pub fn parse(content: &'a [u8]) -> Result<Self, WireError> {
        check_entries(content, 1)?;
        Ok(Self { content })
    }

    /// Returns the bytes after the table's length.
    #[must_use]
    pub fn content(&self) -> &'a [u8] {
        self.content
    }

    /// Returns true if the table has no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.content.is_empty()
    }

    /// Iterates over the entries in their order on the wire.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, ValueView<'a>)> + use<'a> {
        let mut reader = Reader::new(self.content);
        std::iter::from_fn(move || {
            let key = reader.shortstr().ok()?;
            Some((key, read_value(&mut reader).ok()?))
        })
    }

    /// Returns the value of `key`. If a peer sent it twice, the last one counts, as in
    /// [`Self::to_table`].
    #[must_use]
    pub fn get(&self, key: &str) -> Option<ValueView<'a>> {
        self.iter().filter(|(name, _)| *name == key).last().map(|(_, value)| value)
    }

    /// Converts the table to an owned value.
    #[must_use]
    pub fn to_table(&self) -> FieldTable {
        let mut table = FieldTable::default();
        for (key, value) in self.iter() {
            table.insert(ShortString::from(key), value.to_value());
        }
        table
    }
}

impl<'a> ArrayView<'a> {
    /// Iterates over the values in order.
    pub fn iter(&self) -> impl Iterator<Item = ValueView<'a>> + use<'a> {
        let mut reader = Reader::new(self.content);
        std::iter::from_fn(move || read_value(&mut reader).ok())
    }

    /// Converts the array to an owned value.
    #[must_use]
    pub fn to_array(&self) -> FieldArray {
        self.iter().map(|value| value.to_value()).collect::<Vec<_>>().into()
    }
}

impl<'a> ValueView<'a> {
    /// Returns the text of a long string, if it is one and is UTF-8.
    #[must_use]
    pub fn as_str(&self) -> Option<&'a str> {
        match self {
            Self::LongString(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// Returns the number, if it is an integer of any width.
    #[must_use]
    pub fn as_int(&self) -> Option<i64> {
        match *self {
            Self::I8(value) => Some(value.into()),
            Self::U8(value) => Some(value.into()),
            Self::I16(value) => Some(value.into()),
            Self::U16(value) => Some(value.into()),
            Self::I32(value) => Some(value.into()),
            Self::U32(value) => Some(value.into()),
            Self::I64(value) => Some(value),
            _ => None,
        }
    }

    /// Converts the value to an owned one.
    #[must_use]
    pub fn to_value(&self) -> AMQPValue {
        match *self {
            Self::Boolean(value) => AMQPValue::Boolean(value),
            Self::I8(value) => AMQPValue::ShortShortInt(value),
            Self::U8(value) => AMQPValue::ShortShortUInt(value),
            Self::I16(value) => AMQPValue::ShortInt(value),
            Self::U16(value) => AMQPValue::ShortUInt(value),
            Self::I32(value) => AMQPValue::LongInt(value),
            Self::U32(value) => AMQPValue::LongUInt(value),
            Self::I64(value) => AMQPValue::LongLongInt(value),
            Self::F32(value) => AMQPValue::Float(value),
            Self::F64(value) => AMQPValue::Double(value),
            Self::Decimal { scale, value } => {
                AMQPValue::DecimalValue(DecimalValue { scale, value })
            }
            Self::LongString(bytes) => AMQPValue::LongString(bytes.into()),
            Self::Array(array) => AMQPValue::FieldArray(array.to_array()),
            Self::Timestamp(seconds) => AMQPValue::Timestamp(seconds),
            Self::Table(table) => AMQPValue::FieldTable(table.to_table()),
            Self::Bytes(bytes) => AMQPValue::ByteArray(bytes.into()),
            Self::Void => AMQPValue::Void,
        }
    }
}

/// Reads one value; takes nested content as a whole without reading it.
fn read_value<'a>(reader: &mut Reader<'a>) -> Result<ValueView<'a>, WireError> {
    Ok(match reader.u8()? {
        b't' => ValueView::Boolean(reader.u8()? != 0),
        b'b' => ValueView::I8(i8::from_be_bytes([reader.u8()?])),
        b'B' => ValueView::U8(reader.u8()?),
        b's' | b'U' => ValueView::I16(i16::from_be_bytes(reader.u16()?.to_be_bytes())),
        b'u' => ValueView::U16(reader.u16()?),
        b'I' => ValueView::I32(i32::from_be_bytes(reader.u32()?.to_be_bytes())),
        b'i' => ValueView::U32(reader.u32()?),
        b'l' | b'L' => ValueView::I64(i64::from_be_bytes(reader.u64()?.to_be_bytes())),
        b'f' => ValueView::F32(f32::from_bits(reader.u32()?)),
        b'd' => ValueView::F64(f64::from_bits(reader.u64()?)),
        b'D' => ValueView::Decimal { scale: reader.u8()?, value: reader.u32()? },
        b'S' => ValueView::LongString(reader.longstr()?),
        b'A' => ValueView::Array(ArrayView { content: reader.table_bytes()? }),
        b'T' => ValueView::Timestamp(reader.u64()?),
        b'F' => ValueView::Table(TableView { content: reader.table_bytes()? }),
        b'x' => ValueView::Bytes(reader.longstr()?),
        b'V' => ValueView::Void,
        other => return Err(WireError::BadFieldType(other)),
    })
}

/// Checks the entries of a table at nesting level `depth`. Recursion ends at [`TABLE_DEPTH_MAX`].
fn check_entries(content: &[u8], depth: usize) -> Result<(), WireError> {
    let mut reader = Reader::new(content);
    while !reader.is_empty() {
        reader.shortstr()?;
        check_value(&mut reader, depth)?;
    }
    Ok(())
}

fn check_value(reader: &mut Reader<'_>, depth: usize) -> Result<(), WireError> {
    match read_value(reader)? {
        ValueView::Table(table) => check_entries(table.content, deeper(depth)?),
        ValueView::Array(array) => {
            let depth = deeper(depth)?;
            let mut reader = Reader::new(array.content);
            while !reader.is_empty() {
                check_value(&mut reader, depth)?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn deeper(depth: usize) -> Result<usize, WireError> {
    if depth == TABLE_DEPTH_MAX {
        return Err(WireError::TableTooDeep { max: TABLE_DEPTH_MAX });
    }
    Ok(depth + 1)
}

#[cfg(test)]
mod tests;
