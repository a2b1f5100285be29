//! The names by which `serde_json` carries a number's digits and a raw value's text through serde.
//!
//! It writes either as a struct of this name with one field of the same name, and reads either from
//! a map with this one key. `serde_json` does not document the names; its features
//! `arbitrary_precision` and `raw_value` rely on them, and tests of `json` and `msgpack` notice a
//! change.

/// Every reserved name begins so.
pub(crate) const RESERVED_PREFIX: &str = "$serde_json::private::";
/// A number of any size or precision, as its digits.
pub(crate) const NUMBER: &str = "$serde_json::private::Number";
/// JSON text that stands as it is.
pub(crate) const RAW_VALUE: &str = "$serde_json::private::RawValue";
