//! msgpack as oslo's `msgpackutils` writes it, and as tolerant as Python when read.
//!
//! The shapes are those of `json`: structs are maps with text as keys, enums are tagged from
//! outside, map keys become text, bytes that hold UTF-8 are text to whom asks for text. So a value
//! says the same to a typed receiver whichever way it came; what msgpack carries beyond JSON
//! (bytes, not-a-number) survives where the receiver's type has room for it. Python 2 writes its
//! native strings as bytes, keys included, hence the tolerance.
//!
//! Markers and numbers are those of the crate `rmp`. The serializer and the deserializer are our
//! own and not those of `rmp-serde`: the private structs of `serde_json`, the text in bytes and
//! oslo's extension types concern almost every method. Invariant: reading is linear in the input,
//! allocates by no claimed length and recurses no deeper than
//! [`DEPTH_MAX`](crate::codec::budget::DEPTH_MAX). Not here: oslo's extension types are read and
//! never written, as JSON cannot express them.

mod check;
mod deserializer;
mod encode;
mod entries;
pub(crate) mod error;
mod extension;
mod key;
mod nested;
mod reader;
mod scan;
mod token;
mod walk;
mod writer;

pub(crate) use crate::codec::msgpack::check::check_value;
pub(crate) use crate::codec::msgpack::deserializer::{from_slice, to_value};
pub(crate) use crate::codec::msgpack::encode::{push_map, push_str};
pub(crate) use crate::codec::msgpack::entries::{Entries, text};
pub(crate) use crate::codec::msgpack::error::ReadError;
pub(crate) use crate::codec::msgpack::writer::write;

#[cfg(test)]
mod tests;
