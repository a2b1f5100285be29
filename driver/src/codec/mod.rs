//! Writing and reading of values: JSON, msgpack, and a user's own serialisers.

mod budget;
pub(crate) mod compressor;
pub(crate) mod encoded;
pub(crate) mod error;
pub(crate) mod json;
pub(crate) mod msgpack;
mod reserved_keys;
#[cfg(test)]
mod sample;
pub(crate) mod serialization;
mod write;
