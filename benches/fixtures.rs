//! What the benches share: the allocator, and sample messages of the sizes the perf suite uses.

use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Payload sizes: a small cast, a typical control-plane message, one frame of the largest kind.
pub const SIZES: [usize; 3] = [200, 3_200, 65_536];

/// A body of lower-case letters, the same every time.
#[must_use]
pub fn body(bytes: usize) -> Vec<u8> {
    (b'a'..=b'z').cycle().take(bytes).collect()
}
