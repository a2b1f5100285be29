//! Remembers what a server or listener has seen, so that a repeat is not executed twice.
//!
//! A sender that lost its connection before the confirm sends the same `_unique_id` again, and a
//! broker that lost a connection delivers again what was not acknowledged on it. Bounded: the last
//! [`WINDOW`] ids, or as many as may be unacknowledged at a time if that is more; a repeat that
//! comes later than that is executed. oslo keeps 16, which one reconnect under load overruns. Not
//! here: repeats to other servers, which nobody can see.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};

use hashbrown::HashTable;

use crate::ids::Hex32;

/// Ids remembered at least: 256 KiB, and 160 KiB for the table of their places. More than what a
/// listener to all priorities of a topic holds (7 queues, 2048 each).
const WINDOW: usize = 16_384;

/// The last ids seen.
#[derive(Debug)]
pub(crate) struct DedupWindow {
    seen: Mutex<Seen>,
    window: usize,
    hashers: [RandomState; 2],
}

/// Ids lie in the order they came in, and a table tells where: what is looked up at random for
/// every message is the smaller part then, and stays in a core's cache.
#[derive(Debug, Default)]
struct Seen {
    ids: Vec<u128>,
    /// The place of the oldest id, once there are as many as the window holds.
    oldest: usize,
    places: HashTable<u32>,
}

impl DedupWindow {
    /// One for whom `unacknowledged` deliveries may come again at once.
    pub(crate) fn new(unacknowledged: usize) -> Self {
        let window = unacknowledged.max(WINDOW);
        let hashers = [RandomState::new(), RandomState::new()];
        Self { seen: Mutex::default(), window, hashers }
    }

    /// Whether this id comes for the first time; it is remembered.
    pub(crate) fn insert(&self, unique_id: &str) -> bool {
        let id = self.condensed(unique_id);
        let hash = self.hash(id);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let Seen { ids, oldest, places } = &mut *seen;
        if places.find(hash, |place| ids[*place as usize] == id).is_some() {
            return false;
        }
        let place = if ids.len() < self.window {
            ids.push(id);
            ids.len() - 1
        } else {
            let place = *oldest;
            let forgotten = std::mem::replace(&mut ids[place], id);
            if let Ok(entry) = places.find_entry(self.hash(forgotten), |at| *at as usize == place) {
                entry.remove();
            }
            *oldest = (place + 1) % self.window;
            place
        };
        let place = u32::try_from(place).expect("a window is of some thousands");
        places.insert_unique(hash, place, |place| self.hash(ids[*place as usize]));
        true
    }

    /// Whether this id was remembered, and not pushed out since.
    pub(crate) fn contains(&self, unique_id: &str) -> bool {
        let id = self.condensed(unique_id);
        let hash = self.hash(id);
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.places.find(hash, |place| seen.ids[*place as usize] == id).is_some()
    }

    fn hash(&self, id: u128) -> u64 {
        self.hashers[0].hash_one(id)
    }

    /// 128 bits of an id: its own digits as oslo makes them, a keyed hash of anything else.
    fn condensed(&self, unique_id: &str) -> u128 {
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
    fn whatever_may_come_again_is_remembered() {
        let dedup = DedupWindow::new(3 * WINDOW);
        assert!((0..3 * WINDOW).all(|number| dedup.insert(&id(number))));
        assert!((0..3 * WINDOW).all(|number| !dedup.insert(&id(number))));
    }

    #[test]
    fn the_oldest_are_pushed_out_one_by_one() {
        let dedup = DedupWindow::new(0);
        for number in 0..5 * WINDOW / 2 {
            assert!(dedup.insert(&id(number)));
            let oldest = (number + 1).saturating_sub(WINDOW);
            assert!(dedup.contains(&id(oldest)) && dedup.contains(&id(number)));
            assert!(oldest == 0 || !dedup.contains(&id(oldest - 1)));
        }
    }

    #[test]
    fn a_repeat_is_noticed_within_the_window() {
        let dedup = DedupWindow::new(0);
        assert!((0..WINDOW).all(|number| dedup.insert(&id(number))));
        assert!(dedup.contains(&id(0)) && !dedup.contains(&id(WINDOW)));
        assert!(!dedup.insert(&id(0)) && !dedup.insert(&id(WINDOW - 1)));
        assert!(dedup.insert(&id(WINDOW)), "a new one pushes the oldest out");
        assert!(dedup.insert(&id(0)), "forgotten");
        assert!(dedup.insert("not hex") && !dedup.insert("not hex"));
    }
}
