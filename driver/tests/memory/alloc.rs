//! The system's allocator with two counters: the bytes allocated now, and their maximum.
//!
//! A reallocation counts as a change of size only, without a second copy, because the system remaps
//! large blocks. Invariant: counting never allocates. Not here: the measurements.
#![expect(unsafe_code, reason = "a global allocator is an unsafe trait by definition")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

pub(crate) struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Returns the bytes that are allocated now.
pub(crate) fn now() -> usize {
    NOW.load(Relaxed)
}

/// Returns the maximum of allocated bytes since the last [`reset`].
pub(crate) fn peak() -> usize {
    PEAK.load(Relaxed)
}

/// Resets the peak to the current value.
pub(crate) fn reset() {
    PEAK.store(now(), Relaxed);
}

fn grew(bytes: usize) {
    let now = NOW.fetch_add(bytes, Relaxed) + bytes;
    PEAK.fetch_max(now, Relaxed);
}

fn shrank(bytes: usize) {
    NOW.fetch_sub(bytes, Relaxed);
}

// SAFETY: every method passes its arguments unchanged to the system's allocator, which fulfils the
// contract; counting does not touch the memory of any block.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grew(layout.size());
        // SAFETY: the caller's guarantees for `layout` are those the system requires.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        grew(layout.size());
        // SAFETY: as for `alloc`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        shrank(layout.size());
        grew(size);
        // SAFETY: `block` came from the system, because every allocation here does.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        shrank(layout.size());
        // SAFETY: `block` came from the system, because every allocation here does.
        unsafe { System.dealloc(block, layout) }
    }
}
