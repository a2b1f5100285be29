//! msgpack as oslo's `msgpackutils` writes it, and as tolerant as Python when read.
//!
//! Values have the shapes of `json`: structs are maps with text as keys, enums are externally
//! tagged, map keys become text, and a receiver that asks for text reads it from bytes that are
//! UTF-8. So a typed receiver reads the same value from either format. What msgpack has beyond JSON
//! (bytes, NaN) reaches a receiver whose type has it. Text in bytes is accepted because Python 2
//! writes its native strings as bytes, keys included.
//!
//! Markers and numbers are those of the crate `rmp`. The serializer and the deserializer are our
//! own and not those of `rmp-serde`, because the private structs of `serde_json`, text in bytes and
//! oslo's extension types concern almost every method. Invariant: reading is linear in the input,
//! does not allocate by lengths that the input claims, and recurses no deeper than
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
pub(crate) use crate::codec::msgpack::encode::{EMPTY_MAP, NIL, push_map, push_str};
pub(crate) use crate::codec::msgpack::entries::{Entries, text};
pub(crate) use crate::codec::msgpack::error::ReadError;
pub(crate) use crate::codec::msgpack::token::is_map;
pub(crate) use crate::codec::msgpack::writer::write;

#[cfg(test)]
mod tests;
