//! Remembers the ids that a server or listener has seen, so that it executes no message twice.
//!
//! A sender that lost its connection before the confirm sends the same `_unique_id` again, and
//! RabbitMQ redelivers what was unacknowledged on a lost connection. The memory is bounded: the
//! last [`WINDOW`] ids, or as many as may be unacknowledged at a time if that is more. A repeat
//! that comes later is executed. oslo remembers 16 ids, fewer than one reconnect under load
//! repeats. Repeats that reach another server are not detected.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};

use hashbrown::HashTable;

use crate::message::ids::Hex32;

/// The least number of ids remembered: 256 KiB, and 160 KiB for the index. It is more than a
/// listener to all priorities of a topic holds unacknowledged (7 queues, 2048 each).
const WINDOW: usize = 16_384;

/// The last ids seen.
#[derive(Debug)]
pub(crate) struct DedupWindow {
    ring: Mutex<Ring>,
    window: usize,
    hashers: [RandomState; 2],
}

/// Ids in the order of their arrival, and an index of their positions. The index is the smaller
/// part and the only one read at random for every message, so it stays in a core's cache.
#[derive(Debug, Default)]
struct Ring {
    ids: Vec<u128>,
    /// The position of the oldest id, once the ring is full.
    oldest: usize,
    index: HashTable<u32>,
}

impl DedupWindow {
    /// Creates a window for a consumer of which at most `unacknowledged` deliveries are
    /// unacknowledged, all of which RabbitMQ may redeliver at once.
    pub(crate) fn new(unacknowledged: usize) -> Self {
        let window = unacknowledged.max(WINDOW);
        let hashers = [RandomState::new(), RandomState::new()];
        Self { ring: Mutex::default(), window, hashers }
    }

    /// Remembers an id. Returns false if it was remembered already.
    pub(crate) fn insert(&self, unique_id: &str) -> bool {
        let id = self.to_bits(unique_id);
        let hash = self.hash(id);
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let Ring { ids, oldest, index } = &mut *ring;
        if index.find(hash, |position| ids[*position as usize] == id).is_some() {
            return false;
        }
        let position = if ids.len() < self.window {
            ids.push(id);
            ids.len() - 1
        } else {
            let position = *oldest;
            let evicted = std::mem::replace(&mut ids[position], id);
            let entry = index.find_entry(self.hash(evicted), |at| *at as usize == position);
            if let Ok(entry) = entry {
                entry.remove();
            }
            *oldest = (position + 1) % self.window;
            position
        };
        let position = u32::try_from(position).expect("a window has some thousands of ids");
        index.insert_unique(hash, position, |position| self.hash(ids[*position as usize]));
        true
    }

    /// Whether the window holds this id.
    pub(crate) fn contains(&self, unique_id: &str) -> bool {
        let id = self.to_bits(unique_id);
        let hash = self.hash(id);
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        ring.index.find(hash, |position| ring.ids[*position as usize] == id).is_some()
    }

    fn hash(&self, id: u128) -> u64 {
        self.hashers[0].hash_one(id)
    }

    /// Returns 128 bits that stand for an id: the digits of an id of oslo's form, a keyed hash of
    /// any other.
    fn to_bits(&self, unique_id: &str) -> u128 {
        if let Some(id) = Hex32::from_digits(unique_id.as_bytes()) {
            return id.to_bits();
        }
        let [high, low] = &self.hashers;
        u128::from(high.hash_one(unique_id)) << 64 | u128::from(low.hash_one(unique_id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: usize) -> String {
        format!("{number:032x}")
    }

    #[test]
    fn the_window_holds_all_unacknowledged_ids() {
        let dedup = DedupWindow::new(3 * WINDOW);
        assert!((0..3 * WINDOW).all(|number| dedup.insert(&id(number))));
        assert!((0..3 * WINDOW).all(|number| !dedup.insert(&id(number))));
    }

    #[test]
    fn a_full_window_evicts_the_oldest_id() {
        let dedup = DedupWindow::new(0);
        for number in 0..5 * WINDOW / 2 {
            assert!(dedup.insert(&id(number)));
            let oldest = (number + 1).saturating_sub(WINDOW);
            assert!(dedup.contains(&id(oldest)) && dedup.contains(&id(number)));
            assert!(oldest == 0 || !dedup.contains(&id(oldest - 1)));
        }
    }

    #[test]
    fn a_repeat_within_the_window_is_detected() {
        let dedup = DedupWindow::new(0);
        assert!((0..WINDOW).all(|number| dedup.insert(&id(number))));
        assert!(dedup.contains(&id(0)) && !dedup.contains(&id(WINDOW)));
        assert!(!dedup.insert(&id(0)) && !dedup.insert(&id(WINDOW - 1)));
        assert!(dedup.insert(&id(WINDOW)), "a new id evicts the oldest");
        assert!(dedup.insert(&id(0)), "evicted before");
        assert!(dedup.insert("not hex") && !dedup.insert("not hex"));
    }
}
