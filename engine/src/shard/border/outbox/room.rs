//! The queue for room in an outbox: publications that wait for it in the order of their arrival,
//! and room that was granted but not used yet.
//!
//! Invariants: the queue is first come, first served; a waiter that was granted room owns it until
//! it publishes or returns the room. The lock, the wakeups and the bytes in use are in `outbox`.

use std::collections::BTreeMap;

use crate::shard::border::slab::Token;

#[derive(Debug, Default)]
pub(crate) struct RoomQueue {
    /// By arrival number. Ordered, and a waiter that gives up is removed at once.
    waiting: BTreeMap<u64, Waiter>,
    arrivals: u64,
    reserved: usize,
}

#[derive(Debug)]
struct Waiter {
    token: Token,
    bytes: usize,
}

impl RoomQueue {
    /// True while publications wait. A later one has to wait too.
    pub(crate) fn is_contended(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Bytes that were granted and are not used yet.
    pub(crate) fn reserved(&self) -> usize {
        self.reserved
    }

    /// Adds a publication of `bytes`. Returns its arrival number.
    pub(crate) fn join(&mut self, token: Token, bytes: usize) -> u64 {
        self.arrivals += 1;
        self.waiting.insert(self.arrivals, Waiter { token, bytes });
        self.arrivals
    }

    /// Removes a publication that is not made: from the queue, or its bytes from the reserved room.
    pub(crate) fn leave(&mut self, number: u64, bytes: usize) {
        if self.waiting.remove(&number).is_none() {
            self.reserved -= bytes;
        }
    }

    /// Removes the bytes of a publication that was made from the reserved room.
    pub(crate) fn used(&mut self, bytes: usize) {
        self.reserved -= bytes;
    }

    /// Reserves room for the first waiters that fit, in order, and returns their tokens.
    pub(crate) fn grant(&mut self, in_use: usize, budget: usize) -> Vec<Token> {
        let mut granted = Vec::new();
        let mut used = in_use + self.reserved;
        while let Some(first) = self.waiting.first_entry() {
            let bytes = first.get().bytes;
            if !fits(used, bytes, budget) {
                break;
            }
            granted.push(first.remove().token);
            used += bytes;
            self.reserved += bytes;
        }
        granted
    }

    /// Ends every wait, whether there is room or not, because the outbox is closed. Returns the
    /// tokens of the waiters.
    pub(crate) fn dismiss(&mut self) -> Vec<Token> {
        let waiting = std::mem::take(&mut self.waiting);
        self.reserved += waiting.values().map(|waiter| waiter.bytes).sum::<usize>();
        waiting.into_values().map(|waiter| waiter.token).collect()
    }
}

/// Whether a publication of `bytes` fits. One larger than the budget fits when nothing else is in
/// use.
pub(crate) fn fits(used: usize, bytes: usize, budget: usize) -> bool {
    used == 0 || used + bytes <= budget
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(sizes: &[usize]) -> RoomQueue {
        let mut queue = RoomQueue::default();
        for (index, bytes) in sizes.iter().enumerate() {
            assert_eq!(queue.join(index as Token, *bytes), index as u64 + 1);
        }
        queue
    }

    #[test]
    fn the_first_that_fit_are_granted_in_order() {
        let mut queue = queue(&[30, 30, 50, 10]);
        assert!(queue.grant(71, 100).is_empty());
        assert_eq!(queue.grant(20, 100), [0, 1], "the third does not fit and is not passed");
        assert_eq!(queue.reserved(), 60);
        queue.used(30);
        assert!(queue.grant(50, 100).is_empty(), "30 are reserved");
        queue.used(30);
        assert_eq!(queue.grant(40, 100), [2, 3]);
        assert!(!queue.is_contended());
    }

    #[test]
    fn returned_room_is_granted_to_the_next() {
        let mut queue = queue(&[40, 40, 40]);
        assert_eq!(queue.grant(0, 80), [0, 1]);
        queue.leave(1, 40);
        assert_eq!((queue.reserved(), queue.grant(0, 80)), (40, vec![2]));
    }

    #[test]
    fn a_waiter_that_gives_up_reserves_nothing() {
        let mut queue = queue(&[1000, 40]);
        assert!(queue.grant(10, 80).is_empty(), "too large for what is left");
        queue.leave(1, 1000);
        assert_eq!((queue.grant(10, 80), queue.reserved()), (vec![1], 40));
    }

    #[test]
    fn a_waiter_larger_than_the_budget_is_granted_alone() {
        let mut queue = queue(&[1000, 1]);
        assert!(queue.grant(1, 80).is_empty());
        assert_eq!((queue.grant(0, 80), queue.reserved()), (vec![0], 1000));
        queue.leave(1, 1000);
        assert_eq!(queue.grant(0, 80), [1]);
    }

    #[test]
    fn dismissed_waiters_return_their_room() {
        let mut queue = queue(&[30, 30]);
        assert_eq!(queue.dismiss(), [0, 1]);
        queue.leave(1, 30);
        queue.leave(2, 30);
        assert_eq!((queue.reserved(), queue.is_contended()), (0, false));
    }
}
