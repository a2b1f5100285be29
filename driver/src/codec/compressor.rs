//! How bodies are compressed before they are sent, as plain data.

/// Compresses bodies, and labels them for their receivers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Compressor {
    /// The header that names the algorithm, and its value.
    pub(crate) header: (&'static str, &'static str),
    pub(crate) compress: fn(&[u8]) -> Vec<u8>,
}
