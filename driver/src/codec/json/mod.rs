//! JSON as Python's `json` module writes it, and as tolerant as Python when read.
//!
//! Writing is our own because oslo peers compare nothing but we promise bytes: separators `", "`
//! and `": "`, everything outside printable ASCII as `\uXXXX`, floats as `repr` prints them. The
//! same writer renders *inside* an enclosing JSON string (`LEVEL` 1) or inside a string inside a
//! string (`LEVEL` 2) in one pass, because oslo's envelope nests JSON text that way. Reading is
//! `serde_json` plus a repair of what only Python accepts; what comes from peers is taken apart
//! before (`members`) and held against its budget. Invariant: nothing here allocates while
//! writing, the output vector apart.

mod escape;
mod key;
mod members;
mod number;
mod read;
mod scan;
mod writer;

pub(crate) use crate::codec::json::escape::{push_text, quote};
pub(crate) use crate::codec::json::members::Members;
pub(crate) use crate::codec::json::number::push_unsigned;
pub(crate) use crate::codec::json::read::{ReadError, from_slice, parse_string, unescape_into};
pub(crate) use crate::codec::json::writer::write;

#[cfg(test)]
mod tests;
