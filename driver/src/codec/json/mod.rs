//! JSON as Python's `json` module writes it, and as tolerant as Python when read.
//!
//! The writer is our own because we promise Python's bytes: separators `", "` and `": "`,
//! everything outside printable ASCII as `\uXXXX`, floats as `repr` prints them. The same writer
//! renders *inside* an enclosing JSON string (`LEVEL` 1) or inside a string inside a string
//! (`LEVEL` 2) in one pass, because oslo's envelope nests JSON text that way. The reader is
//! `serde_json` with a repair of what only Python accepts. Messages of peers are split into their
//! members before, and checked against their budget (`members`). Invariant: writing allocates
//! nothing but the output.

mod error;
mod escape;
mod key;
mod members;
mod number;
mod read;
mod scan;
mod writer;

pub(crate) use crate::codec::json::error::ReadError;
pub(crate) use crate::codec::json::escape::{push_text, quote};
pub(crate) use crate::codec::json::members::Members;
pub(crate) use crate::codec::json::number::push_unsigned;
pub(crate) use crate::codec::json::read::{from_slice, parse_string, unescape_into};
pub(crate) use crate::codec::json::writer::write;

#[cfg(test)]
mod tests;
