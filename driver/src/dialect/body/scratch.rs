//! The buffer that decoding unescapes into. A thread reuses it.

use std::cell::Cell;

/// The buffer that decoding unescapes into. What is decoded borrows from it.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub(in crate::dialect) payload: Vec<u8>,
}

thread_local! {
    static SCRATCH: Cell<Option<Box<Scratch>>> = const { Cell::new(None) };
}

/// A larger scratch is freed after use.
const SCRATCH_BYTES_MAX: usize = 1 << 20;

impl Scratch {
    /// Calls `work` with this thread's scratch. A nested call gets another one.
    pub(crate) fn with<T>(work: impl FnOnce(&mut Self) -> T) -> T {
        let mut scratch = SCRATCH.with(Cell::take).unwrap_or_default();
        let result = work(&mut scratch);
        if scratch.payload.capacity() <= SCRATCH_BYTES_MAX {
            SCRATCH.with(|cell| cell.set(Some(scratch)));
        }
        result
    }
}
