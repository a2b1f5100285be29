//! How values are written and read: JSON, msgpack, and whatever else a user brings.

mod budget;
pub(crate) mod compressor;
pub(crate) mod encoded;
pub(crate) mod error;
pub(crate) mod json;
pub(crate) mod msgpack;
mod reserved_keys;
pub(crate) mod serialization;
mod write;
