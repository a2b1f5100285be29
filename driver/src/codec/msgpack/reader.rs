//! The input of a deserializer, and its depth.

use crate::codec::budget::DEPTH_MAX;
use crate::codec::msgpack::error::ReadError as Error;
use crate::codec::msgpack::token::Input;

/// Reads the values of `input` in order, `depth` arrays and maps down.
pub(super) struct Reader<'de> {
    pub(super) input: Input<'de>,
    pub(super) depth: u8,
}

impl<'de> Reader<'de> {
    pub(super) fn new(input: &'de [u8]) -> Self {
        Self { input: Input::new(input), depth: 0 }
    }

    /// Calls `read` one level deeper.
    pub(super) fn nested<R>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<R, Error>,
    ) -> Result<R, Error> {
        if self.depth == DEPTH_MAX {
            return Err(Error::TooDeep);
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }
}
