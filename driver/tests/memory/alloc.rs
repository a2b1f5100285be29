//! The system's allocator with two counters: bytes that are allocated, and the most there were.
//!
//! A block that grows or shrinks counts as moved in no time, as the system does with large ones.
//! Invariant: counting never allocates. Not here: what is measured.
#![expect(unsafe_code, reason = "a global allocator is an unsafe trait by definition")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

pub(crate) struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes that are allocated.
pub(crate) fn now() -> usize {
    NOW.load(Relaxed)
}

/// The most bytes that were allocated since the last [`reset`].
pub(crate) fn peak() -> usize {
    PEAK.load(Relaxed)
}

/// Forgets the peak so far.
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

// SAFETY: every method passes its arguments on to the system's allocator unchanged, which keeps the
// contract; counting touches no memory it hands out.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grew(layout.size());
        // SAFETY: the caller's promises about `layout` are the ones the system asks for.
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
