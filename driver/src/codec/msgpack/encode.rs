//! Appends scalars, and the heads of arrays and maps.
//!
//! Each takes the shortest form of the value, as Python's packer does with `use_bin_type=True`.
//! `rmp` writes the numbers. It does not write the lengths, because its functions match on a marker
//! after they have chosen it, which adds up to a tenth to the cost of a request. Not here: the
//! values that must follow the head of an array or a map.

use rmp::{Marker, encode};

use crate::codec::error::WriteError;

/// Why writing into a vector does not fail.
const IN_MEMORY: &str = "a vector takes what is written";

/// Nil as a whole value.
pub(crate) const NIL: [u8; 1] = [Marker::Null.to_u8()];
/// A map without entries as a whole value.
pub(crate) const EMPTY_MAP: [u8; 1] = [Marker::FixMap(0).to_u8()];

/// The markers of a type with a length, from the shortest form to the longest.
struct Markers {
    /// The marker that contains small lengths, and the first length that it cannot contain.
    fixed: Option<(u8, u32)>,
    byte: Option<u8>,
    short: u8,
    long: u8,
}

const STR: Markers = Markers {
    fixed: Some((Marker::FixStr(0).to_u8(), 32)),
    byte: Some(Marker::Str8.to_u8()),
    short: Marker::Str16.to_u8(),
    long: Marker::Str32.to_u8(),
};
const BIN: Markers = Markers {
    fixed: None,
    byte: Some(Marker::Bin8.to_u8()),
    short: Marker::Bin16.to_u8(),
    long: Marker::Bin32.to_u8(),
};
const ARRAY: Markers = Markers {
    fixed: Some((Marker::FixArray(0).to_u8(), 16)),
    byte: None,
    short: Marker::Array16.to_u8(),
    long: Marker::Array32.to_u8(),
};
const MAP: Markers = Markers {
    fixed: Some((Marker::FixMap(0).to_u8(), 16)),
    byte: None,
    short: Marker::Map16.to_u8(),
    long: Marker::Map32.to_u8(),
};

#[inline]
fn push_head(out: &mut Vec<u8>, markers: &Markers, length: u32) {
    if let Some((marker, limit)) = markers.fixed
        && length < limit
    {
        out.push(marker | length as u8);
    } else if let (Some(marker), Ok(length)) = (markers.byte, u8::try_from(length)) {
        out.extend_from_slice(&[marker, length]);
    } else if let Ok(length) = u16::try_from(length) {
        out.push(markers.short);
        out.extend_from_slice(&length.to_be_bytes());
    } else {
        out.push(markers.long);
        out.extend_from_slice(&length.to_be_bytes());
    }
}

fn push_prefixed(out: &mut Vec<u8>, markers: &Markers, content: &[u8]) -> Result<(), WriteError> {
    let length = u32::try_from(content.len()).map_err(|_| WriteError::TooLong)?;
    push_head(out, markers, length);
    out.extend_from_slice(content);
    Ok(())
}

/// Appends text. From 4 GiB on it is an error.
pub(crate) fn push_str(out: &mut Vec<u8>, text: &str) -> Result<(), WriteError> {
    push_prefixed(out, &STR, text.as_bytes())
}

/// Appends bytes. From 4 GiB on it is an error.
pub(crate) fn push_bytes(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), WriteError> {
    push_prefixed(out, &BIN, bytes)
}

/// Appends the head of an array. `length` values must follow.
pub(crate) fn push_array(out: &mut Vec<u8>, length: u32) {
    push_head(out, &ARRAY, length);
}

/// Appends the head of a map. `length` keys must follow, each with its value.
pub(crate) fn push_map(out: &mut Vec<u8>, length: u32) {
    push_head(out, &MAP, length);
}

/// Appends nil, Python's `None`.
pub(crate) fn push_nil(out: &mut Vec<u8>) {
    encode::write_nil(out).expect(IN_MEMORY);
}

/// Appends a boolean.
pub(crate) fn push_bool(out: &mut Vec<u8>, value: bool) {
    encode::write_bool(out, value).expect(IN_MEMORY);
}

/// Appends an unsigned integer.
pub(crate) fn push_unsigned(out: &mut Vec<u8>, value: u64) {
    encode::write_uint(out, value).expect(IN_MEMORY);
}

/// Appends a signed integer, as an unsigned one if it is not negative.
pub(crate) fn push_signed(out: &mut Vec<u8>, value: i64) {
    match u64::try_from(value) {
        Ok(value) => push_unsigned(out, value),
        Err(_) => {
            encode::write_sint(out, value).expect(IN_MEMORY);
        }
    }
}

/// Appends a float in double precision, as Python has no other.
pub(crate) fn push_float(out: &mut Vec<u8>, value: f64) {
    encode::write_f64(out, value).expect(IN_MEMORY);
}
