//! The buffer that decoding unescapes into, which a thread reuses.

use std::cell::Cell;

/// The buffer that decoding unescapes into.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub(in crate::dialect) payload: Vec<u8>,
}

thread_local! {
    static SCRATCH: Cell<Option<Box<Scratch>>> = const { Cell::new(None) };
}

/// A scratch that grew beyond this is given back to the allocator.
const SCRATCH_BYTES_MAX: usize = 1 << 20;

impl Scratch {
    /// Lends this thread's scratch. Whoever borrows it inside gets another one.
    pub(crate) fn with<T>(work: impl FnOnce(&mut Self) -> T) -> T {
        let mut scratch = SCRATCH.with(Cell::take).unwrap_or_default();
        let result = work(&mut scratch);
        if scratch.payload.capacity() <= SCRATCH_BYTES_MAX {
            SCRATCH.with(|cell| cell.set(Some(scratch)));
        }
        result
    }
}
