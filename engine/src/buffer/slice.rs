//! A counted window into a block. Dropping the last window lets the pool fill the block again.
//!
//! Invariant: the window lies inside the block. `pool` fills blocks.

use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;

/// A received block, shared read-only by its slices.
#[derive(Clone, Debug)]
pub(crate) struct Block(pub(super) Arc<Vec<u8>>);

impl Block {
    /// Returns the window `start..start + len` of this block.
    ///
    /// # Panics
    /// If the window exceeds the block; callers compute it from the bytes they have just parsed.
    pub(crate) fn slice(&self, start: usize, len: usize) -> Slice {
        assert!(start + len <= self.0.len(), "a slice stays inside its block");
        Slice { block: Arc::clone(&self.0), start, len }
    }
}

impl Deref for Block {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// A counted window into a [`Block`].
#[derive(Clone, Debug)]
pub(crate) struct Slice {
    block: Arc<Vec<u8>>,
    start: usize,
    len: usize,
}

impl Slice {
    /// Converts to the public type; costs one small allocation and no copy.
    pub(crate) fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl From<Vec<u8>> for Slice {
    /// The whole of a block of its own.
    fn from(bytes: Vec<u8>) -> Self {
        let (start, len) = (0, bytes.len());
        Self { block: Arc::new(bytes), start, len }
    }
}

impl AsRef<[u8]> for Slice {
    fn as_ref(&self) -> &[u8] {
        &self.block[self.start..self.start + self.len]
    }
}

impl Deref for Slice {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.as_ref()
    }
}
