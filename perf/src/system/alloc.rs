//! The counting allocator: mimalloc, with one counter for each thread.
//!
//! A thread counts in the slot of its kernel id, so that the meter can leave out the threads of
//! in-process peers. Invariant: counting neither allocates nor blocks. Limit: two threads whose ids
//! are `SLOTS` apart share a slot. Not here: bytes, frees, call sites.
#![expect(unsafe_code, reason = "a global allocator is an unsafe trait by definition")]

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use mimalloc::MiMalloc;

/// More than the threads of this tool; the kernel assigns ids one after another.
const SLOTS: usize = 1024;

#[repr(align(64))]
struct Slot(AtomicU64);

static COUNTS: [Slot; SLOTS] = [const { Slot(AtomicU64::new(0)) }; SLOTS];

thread_local! {
    /// One more than this thread's slot; 0 until its first allocation.
    static SLOT: Cell<usize> = const { Cell::new(0) };
}

/// mimalloc, counting allocations and reallocations.
pub(crate) struct CountingAllocator;

fn count() {
    // A thread that ends has no locals any more; its last few allocations are not counted.
    let _ = SLOT.try_with(|slot| {
        if slot.get() == 0 {
            slot.set(slot_of(rustix::thread::gettid().as_raw_nonzero().get()) + 1);
        }
        COUNTS[slot.get() - 1].0.fetch_add(1, Relaxed);
    });
}

fn slot_of(tid: i32) -> usize {
    tid.unsigned_abs() as usize % SLOTS
}

/// Allocations of the whole process so far.
pub(crate) fn total() -> u64 {
    COUNTS.iter().map(|slot| slot.0.load(Relaxed)).sum()
}

/// Allocations of the thread with this kernel id so far.
pub(crate) fn of_thread(tid: i32) -> u64 {
    COUNTS[slot_of(tid)].0.load(Relaxed)
}

// SAFETY: every method passes its arguments on to mimalloc unchanged, and mimalloc keeps the
// contract; counting touches no memory the allocator hands out.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises about `layout` are the ones mimalloc asks for.
        unsafe { MiMalloc.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as for `alloc`.
        unsafe { MiMalloc.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: `block` came from mimalloc, because every allocation here does.
        unsafe { MiMalloc.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: `block` came from mimalloc, because every allocation here does.
        unsafe { MiMalloc.dealloc(block, layout) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allocation_counts_for_its_own_thread() {
        let tid = rustix::thread::gettid().as_raw_nonzero().get();
        let before = of_thread(tid);
        let block = std::hint::black_box(Box::new(7_u8));
        assert!(of_thread(tid) > before, "the box of {block} was not counted");
    }

    #[test]
    fn arithmetic_counts_nothing() {
        let tid = rustix::thread::gettid().as_raw_nonzero().get();
        let before = of_thread(tid);
        std::hint::black_box(6_u64 * 7);
        assert_eq!(of_thread(tid), before);
    }
}
