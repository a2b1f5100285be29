//! The output of a value, and its depth.

use std::marker::PhantomData;

use crate::codec::budget::DEPTH_MAX;
use crate::codec::error::WriteError;

/// Writes one value in format `F`, `depth` arrays and objects down.
pub(crate) struct Writer<'a, F> {
    pub(super) out: &'a mut Vec<u8>,
    pub(super) depth: u8,
    format: PhantomData<F>,
}

impl<'a, F> Writer<'a, F> {
    pub(crate) fn new(out: &'a mut Vec<u8>, depth: u8) -> Self {
        Self { out, depth, format: PhantomData }
    }

    /// Returns the depth of the members of an array or object that is written here.
    pub(super) fn inner_depth(&self) -> Result<u8, WriteError> {
        if self.depth == DEPTH_MAX { Err(WriteError::TooDeep) } else { Ok(self.depth + 1) }
    }
}
