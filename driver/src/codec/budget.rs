//! Limits of the values of one message: their levels, their number, and their memory once decoded.
//!
//! A few bytes of text can become hundreds of bytes of [`Value`]: an object of one entry takes a
//! node of a B-tree with room for eleven. So the structure of a message is checked before anything
//! is decoded. The memory is what `serde_json` allocates for the whole message as one `Value`, the
//! worst case among receivers. Nothing here allocates. Not here: how the structure is found
//! (`scan`, in `json` and in `msgpack`).

use serde_json::Value;

use crate::codec::reserved_keys::RESERVED_PREFIX;

/// Deepest nesting of arrays and objects, written and read. `serde_json` reads no more (its bound
/// of 128 counts the value inside), so what we write we can read.
pub(crate) const DEPTH_MAX: u8 = 127;

/// Levels of arrays and objects, including that of the message itself. Its values have one level
/// less: [`DEPTH_MAX`].
pub(super) const LEVELS_MAX: usize = DEPTH_MAX as usize + 1;
/// Values of a message; keys are not counted.
pub(super) const VALUES_MAX: usize = 1_000_000;
/// Memory that every message may take, whatever its size: the size of the largest message that
/// RabbitMQ accepts by default.
const MEMORY_MIN: usize = 16 << 20;
/// Memory that a message may take for each of its bytes. With the copies of its body, a message
/// takes at most 40 bytes a byte.
const MEMORY_PER_BYTE: usize = 36;

/// Memory of a value in an array or an entry.
pub(super) const VALUE: usize = size_of::<Value>();
/// Memory of a node of `serde_json`'s maps: entries, its parent, its index there and its length.
const NODE_ENTRIES: usize = 11;
pub(super) const NODE: usize = NODE_ENTRIES * (size_of::<String>() + VALUE) + 16;
/// Memory for each entry of a map with more than one node: nodes are at least five elevenths full,
/// and one in six of them has twelve pointers as well.
const ENTRY: usize = NODE.div_ceil(5) + 24;
/// The first allocation of an array is for this many values.
const ARRAY_MIN: usize = 4;

/// Why a message is not decoded: its values exceed the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OverBudget {
    /// Arrays and objects are nested too deep.
    #[error("it is nested deeper than {LEVELS_MAX} levels")]
    Levels,
    /// There are too many values.
    #[error("it has more than {VALUES_MAX} values")]
    Values,
    /// The values would take too much memory.
    #[error(
        "its values would take more than {} MiB of memory, and more than {MEMORY_PER_BYTE} times \
         its own size",
        MEMORY_MIN >> 20
    )]
    Memory,
    /// `serde_json` takes an object with such a key for a number or a raw value, and would decode
    /// its text again.
    #[error("it has an object with a reserved key ({RESERVED_PREFIX}…)")]
    ReservedKey,
}

/// The values counted so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Budget {
    pub(crate) values: usize,
    /// Bytes.
    pub(crate) memory: usize,
}

impl Budget {
    /// Counts an array.
    #[inline]
    pub(crate) fn array(&mut self, elements: usize) {
        self.values += elements;
        if elements > 0 {
            self.memory += elements.next_power_of_two().max(ARRAY_MIN) * VALUE;
        }
    }

    /// Counts an object.
    #[inline]
    pub(crate) fn object(&mut self, entries: usize) {
        self.values += entries;
        self.memory += match entries {
            0 => 0,
            1..=NODE_ENTRIES => NODE,
            more => NODE + more * ENTRY,
        };
    }

    /// Returns an error if these values exceed the limits of a message of `bytes` bytes.
    #[inline]
    pub(crate) fn check(&self, bytes: usize) -> Result<(), OverBudget> {
        if self.values > VALUES_MAX {
            return Err(OverBudget::Values);
        }
        if self.memory > MEMORY_MIN.max(bytes.saturating_mul(MEMORY_PER_BYTE)) {
            return Err(OverBudget::Memory);
        }
        Ok(())
    }
}
