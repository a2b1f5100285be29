//! The pieces of msgpack, appended one by one: what a frame made by hand is put together from.
//!
//! Each takes the shortest form that holds the value, as Python's packer does with
//! `use_bin_type=True`. Invariant: a piece is appended whole or not at all. Not here: counting the
//! values that must follow the head of an array or a map.

use crate::codec::error::WriteError;

/// The heads of one family, from the shortest form to the longest.
struct Family {
    /// The marker that holds small lengths itself, and the first length it does not hold.
    fixed: Option<(u8, u32)>,
    byte: Option<u8>,
    short: u8,
    long: u8,
}

const STR: Family = Family { fixed: Some((0xa0, 32)), byte: Some(0xd9), short: 0xda, long: 0xdb };
const BIN: Family = Family { fixed: None, byte: Some(0xc4), short: 0xc5, long: 0xc6 };
const ARRAY: Family = Family { fixed: Some((0x90, 16)), byte: None, short: 0xdc, long: 0xdd };
const MAP: Family = Family { fixed: Some((0x80, 16)), byte: None, short: 0xde, long: 0xdf };

fn push_head(out: &mut Vec<u8>, family: &Family, length: u32) {
    if let Some((marker, limit)) = family.fixed
        && length < limit
    {
        out.push(marker | length as u8);
    } else if let (Some(marker), Ok(length)) = (family.byte, u8::try_from(length)) {
        out.extend_from_slice(&[marker, length]);
    } else if let Ok(length) = u16::try_from(length) {
        out.push(family.short);
        out.extend_from_slice(&length.to_be_bytes());
    } else {
        out.push(family.long);
        out.extend_from_slice(&length.to_be_bytes());
    }
}

fn push_run(out: &mut Vec<u8>, family: &Family, content: &[u8]) -> Result<(), WriteError> {
    let length = u32::try_from(content.len()).map_err(|_| WriteError::TooLong)?;
    push_head(out, family, length);
    out.extend_from_slice(content);
    Ok(())
}

/// Appends text; 4 GiB and more are refused.
pub(crate) fn push_str(out: &mut Vec<u8>, text: &str) -> Result<(), WriteError> {
    push_run(out, &STR, text.as_bytes())
}

/// Appends bytes that are no text; 4 GiB and more are refused.
pub(crate) fn push_bytes(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), WriteError> {
    push_run(out, &BIN, bytes)
}

/// Appends the head of an array: `length` values must follow.
pub(crate) fn push_array(out: &mut Vec<u8>, length: u32) {
    push_head(out, &ARRAY, length);
}

/// Appends the head of a map: `length` keys must follow, each with its value.
pub(crate) fn push_map(out: &mut Vec<u8>, length: u32) {
    push_head(out, &MAP, length);
}

/// Appends nil, Python's `None`.
pub(crate) fn push_nil(out: &mut Vec<u8>) {
    out.push(0xc0);
}

/// Appends a truth value.
pub(crate) fn push_bool(out: &mut Vec<u8>, value: bool) {
    out.push(if value { 0xc3 } else { 0xc2 });
}

/// Appends an unsigned integer.
pub(crate) fn push_unsigned(out: &mut Vec<u8>, value: u64) {
    if value < 0x80 {
        out.push(value as u8);
    } else if let Ok(value) = u8::try_from(value) {
        out.extend_from_slice(&[0xcc, value]);
    } else if let Ok(value) = u16::try_from(value) {
        out.push(0xcd);
        out.extend_from_slice(&value.to_be_bytes());
    } else if let Ok(value) = u32::try_from(value) {
        out.push(0xce);
        out.extend_from_slice(&value.to_be_bytes());
    } else {
        out.push(0xcf);
        out.extend_from_slice(&value.to_be_bytes());
    }
}

/// Appends a signed integer; one that is not negative goes out as unsigned.
pub(crate) fn push_signed(out: &mut Vec<u8>, value: i64) {
    if let Ok(value) = u64::try_from(value) {
        push_unsigned(out, value);
    } else if value >= -32 {
        out.push(value as u8);
    } else if let Ok(value) = i8::try_from(value) {
        out.extend_from_slice(&[0xd0, value as u8]);
    } else if let Ok(value) = i16::try_from(value) {
        out.push(0xd1);
        out.extend_from_slice(&value.to_be_bytes());
    } else if let Ok(value) = i32::try_from(value) {
        out.push(0xd2);
        out.extend_from_slice(&value.to_be_bytes());
    } else {
        out.push(0xd3);
        out.extend_from_slice(&value.to_be_bytes());
    }
}

/// Appends a float, always in double precision, as Python has no other.
pub(crate) fn push_float(out: &mut Vec<u8>, value: f64) {
    out.push(0xcb);
    out.extend_from_slice(&value.to_bits().to_be_bytes());
}
