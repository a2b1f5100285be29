//! The names by which `serde_json` carries a number's digits and a raw value's text through serde.
//!
//! It writes either as a struct with this name and one field with the same name, and reads either
//! from a map with this one key. `serde_json` does not document these names. Tests of `json` and
//! `msgpack` fail if they change.

/// Prefix of every reserved name.
pub(crate) const RESERVED_PREFIX: &str = "$serde_json::private::";
/// A number of any size or precision, as its digits.
pub(crate) const NUMBER: &str = "$serde_json::private::Number";
/// JSON text that is copied as it is.
pub(crate) const RAW_VALUE: &str = "$serde_json::private::RawValue";
