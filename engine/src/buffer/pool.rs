//! Receive blocks of one connection: allocated on demand up to a limit, reused last-in first-out.
//! They are small until a read fills one, so that connections which carry little keep little.
//!
//! Invariant: `free` and `lent` together never hold more than `blocks_max` blocks, and no one else
//! holds a block that is taken for filling. An empty pool returns `None` and does not allocate: the
//! reader then stops reading, and TCP and the broker's prefetch limit stop the sender. The pool
//! never waits.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::buffer::slice::Block;

/// Number of blocks checked in one search for a returned one; the oldest are the most likely to be
/// free.
const SEARCH_MAX: usize = 8;
/// Bytes of the first blocks; a handshake fits.
const FIRST_BYTES: usize = 4 << 10;
/// By how much blocks grow when a read fills one.
const GROWTH: usize = 4;

/// The pool; the reader of one connection owns it.
#[derive(Debug)]
pub(crate) struct BufferPool {
    free: Vec<Arc<Vec<u8>>>,
    lent: VecDeque<Arc<Vec<u8>>>,
    /// Unused reference counts, kept so that a read allocates nothing.
    spare_arcs: Vec<Arc<Vec<u8>>>,
    /// Bytes of the next block. A smaller one is freed instead of being used again.
    next_bytes: usize,
    block_bytes: usize,
    blocks_max: usize,
}

impl BufferPool {
    pub(crate) fn new(block_bytes: usize, blocks_max: usize) -> Self {
        Self {
            free: Vec::new(),
            lent: VecDeque::new(),
            spare_arcs: Vec::new(),
            next_bytes: FIRST_BYTES.min(block_bytes),
            block_bytes,
            blocks_max,
        }
    }

    /// Returns a block to fill, or `None` if every block is still lent out.
    ///
    /// `over_limit` allows one block above the limit: the rest of a message that has started must
    /// be read, or its own slices would block it for ever. Such a block is freed afterwards.
    pub(crate) fn take(&mut self, over_limit: bool) -> Option<Vec<u8>> {
        if let Some(block) = self.free.pop() {
            return Some(self.unwrap_block(block));
        }
        for _ in 0..self.lent.len().min(SEARCH_MAX) {
            let mut block = self.lent.pop_front().expect("counted above");
            if Arc::get_mut(&mut block).is_some() {
                return Some(self.unwrap_block(block));
            }
            self.lent.push_back(block);
        }
        (over_limit || self.lent.len() < self.blocks_max).then(|| vec![0; self.next_bytes])
    }

    /// Takes note that a read has filled its block: there may be more to read than blocks hold.
    pub(crate) fn grow(&mut self) {
        self.next_bytes = self.next_bytes.saturating_mul(GROWTH).min(self.block_bytes);
    }

    /// Wraps a filled block so that slices of it can be lent out.
    pub(crate) fn share(&mut self, filled: Vec<u8>) -> Block {
        let Some(mut arc) = self.spare_arcs.pop() else { return Block(Arc::new(filled)) };
        *Arc::get_mut(&mut arc).expect("spare_arcs are unique") = filled;
        Block(arc)
    }

    /// Takes back a block after its bytes were parsed; it is free at once if no slice of it is
    /// left.
    pub(crate) fn put_back(&mut self, block: Block) {
        let mut block = block.0;
        if Arc::get_mut(&mut block).is_some() {
            if self.free.len() + self.lent.len() < self.blocks_max {
                self.free.push(block);
            }
        } else if self.lent.len() < self.blocks_max {
            self.lent.push_back(block);
        }
    }

    fn unwrap_block(&mut self, mut block: Arc<Vec<u8>>) -> Vec<u8> {
        let bytes =
            std::mem::take(Arc::get_mut(&mut block).expect("only unique blocks are opened"));
        self.spare_arcs.push(block);
        if bytes.len() < self.next_bytes { vec![0; self.next_bytes] } else { bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_comes_back_when_its_last_slice_is_dropped() {
        let mut pool = BufferPool::new(16, 1);
        let first = pool.take(false).unwrap();
        let address = first.as_ptr();
        let block = pool.share(first);
        let slice = block.slice(2, 4);
        pool.put_back(block);
        assert!(pool.take(false).is_none(), "the only block is still lent");
        drop(slice);
        let again = pool.take(false).unwrap();
        assert_eq!(again.as_ptr(), address);
    }

    #[test]
    fn an_unfinished_message_may_exceed_the_limit_and_its_extra_block_is_freed() {
        let mut pool = BufferPool::new(16, 1);
        let block = pool.take(false).unwrap();
        let block = pool.share(block);
        let held = block.slice(0, 1);
        pool.put_back(block);
        let extra = pool.take(true).unwrap();
        let extra = pool.share(extra);
        let extra_held = extra.slice(0, 1);
        pool.put_back(extra);
        drop((held, extra_held));
        assert!(pool.take(false).is_some());
        assert_eq!(pool.free.len() + pool.lent.len(), 0, "one kept, one gone");
    }

    #[test]
    fn blocks_grow_up_to_their_limit_when_reads_fill_them() {
        let mut pool = BufferPool::new(20 << 10, 2);
        let sizes: Vec<usize> = (0..4)
            .map(|_| {
                let block = pool.take(false).expect("a block is free");
                let size = block.len();
                let block = pool.share(block);
                pool.put_back(block);
                pool.grow();
                size
            })
            .collect();
        assert_eq!(sizes, [4 << 10, 16 << 10, 20 << 10, 20 << 10]);
        assert_eq!(BufferPool::new(16, 1).take(false).expect("the first").len(), 16);
    }

    #[test]
    fn the_block_returned_last_is_reused_first() {
        let mut pool = BufferPool::new(16, 4);
        let (a, b) = (pool.take(false).unwrap(), pool.take(false).unwrap());
        let hot = b.as_ptr();
        let (a, b) = (pool.share(a), pool.share(b));
        pool.put_back(a);
        pool.put_back(b);
        let first = pool.take(false).unwrap();
        assert_eq!(first.as_ptr(), hot);
    }
}
