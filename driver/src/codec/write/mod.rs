//! Writing values in any format: one `serde` serializer over the functions of a format.
//!
//! `format` declares these functions, `writer` holds the output, `compound` writes arrays and
//! objects, `serializer` is the serializer itself. Values take the shapes that `serde_json` gives
//! them: externally tagged enums, structs as objects, `None` as null. Two private conventions of
//! `serde_json` are supported at every depth: numbers of any precision, and raw values. Not here:
//! the bytes of a format (`json`, `msgpack`).

mod compound;
pub(super) mod format;
pub(super) mod refuse;
mod serializer;
mod text_only;
pub(super) mod writer;
