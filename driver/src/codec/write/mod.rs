//! What all formats share of writing a value: a `serde` serializer over what each format says.
//!
//! `format` is what a format must say, `writer` where a value goes, `compound` an array or an
//! object that is being written, `serializer` the serializer above them. Shapes are those of
//! `serde_json`: externally tagged enums, structs as objects, `None` as null; and two private
//! conventions of `serde_json` are kept at every depth, its numbers of any precision and its raw
//! values. Not here: any byte of any format (`json`, `msgpack`).

mod compound;
pub(super) mod format;
pub(super) mod refuse;
mod serializer;
mod text_only;
pub(super) mod writer;
