//! How values are written and read: JSON, msgpack, and whatever else a user brings.

pub(crate) mod compressor;
pub(crate) mod encoded;
pub(crate) mod json;
pub(crate) mod msgpack;
pub(crate) mod serialization;
