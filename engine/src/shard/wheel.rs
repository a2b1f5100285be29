//! Deadlines of slots: a hashed timing wheel with intrusive links, so setting and clearing a
//! deadline takes constant time and allocates nothing.
//!
//! Invariant: a slot is in at most one list. A deadline beyond one revolution of the wheel stays in
//! its list and is checked once per revolution.

use std::time::{Duration, Instant};

/// The resolution of deadlines: each is met within `[deadline, deadline + 2 * TICK]`.
pub(crate) const TICK: Duration = Duration::from_millis(4);
const LISTS: usize = 1024;
const NONE: u32 = u32::MAX;

#[derive(Debug)]
pub(crate) struct Wheel {
    start: Instant,
    done: u64,
    heads: Box<[u32]>,
    links: Vec<Link>,
    len: usize,
}

#[derive(Clone, Copy, Debug)]
struct Link {
    previous: u32,
    next: u32,
    /// 0 while the slot is in no list.
    tick: u64,
}

const FREE: Link = Link { previous: NONE, next: NONE, tick: 0 };

impl Wheel {
    pub(crate) fn new(start: Instant) -> Self {
        let heads = vec![NONE; LISTS].into_boxed_slice();
        Self { start, done: 0, heads, links: Vec::new(), len: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Sets the deadline of `slot`, which has none.
    pub(crate) fn set(&mut self, slot: u32, deadline: Instant) {
        if self.links.len() <= slot as usize {
            self.links.resize(slot as usize + 1, FREE);
        }
        // Rounded up, so never early. A deadline in the past is due at the next tick.
        let tick = (self.ticks(deadline) + 1).max(self.done + 1);
        let head = &mut self.heads[tick as usize % LISTS];
        let next = std::mem::replace(head, slot);
        self.links[slot as usize] = Link { previous: NONE, next, tick };
        if next != NONE {
            self.links[next as usize].previous = slot;
        }
        self.len += 1;
    }

    /// Clears the deadline of `slot`, if it has one.
    pub(crate) fn clear(&mut self, slot: u32) {
        let Some(link) = self.links.get_mut(slot as usize) else { return };
        let Link { previous, next, tick } = std::mem::replace(link, FREE);
        if tick == 0 {
            return;
        }
        self.len -= 1;
        if next != NONE {
            self.links[next as usize].previous = previous;
        }
        if previous == NONE {
            self.heads[tick as usize % LISTS] = next;
        } else {
            self.links[previous as usize].next = next;
        }
    }

    /// Calls `due` for every slot whose deadline has passed, after clearing the deadline.
    pub(crate) fn advance(&mut self, now: Instant, mut due: impl FnMut(u32)) {
        let target = self.ticks(now);
        let passed = (target.saturating_sub(self.done)).min(LISTS as u64);
        if self.len > 0 {
            for tick in target + 1 - passed..=target {
                let mut slot = self.heads[tick as usize % LISTS];
                while slot != NONE {
                    let link = self.links[slot as usize];
                    if link.tick <= target {
                        self.clear(slot);
                        due(slot);
                    }
                    slot = link.next;
                }
            }
        }
        self.done = self.done.max(target);
    }

    fn ticks(&self, at: Instant) -> u64 {
        (at.saturating_duration_since(self.start).as_nanos() / TICK.as_nanos()) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(wheel: &mut Wheel, at: Instant) -> Vec<u32> {
        let mut seen = Vec::new();
        wheel.advance(at, |slot| seen.push(slot));
        seen.sort_unstable();
        seen
    }

    #[test]
    fn a_deadline_is_never_early_and_at_most_two_ticks_late() {
        let start = Instant::now();
        let mut wheel = Wheel::new(start);
        for (slot, ms) in [(0, 1), (1, 10), (2, 9_000), (3, 10)] {
            wheel.set(slot, start + Duration::from_millis(ms));
        }
        wheel.clear(3);
        assert!(due(&mut wheel, start + Duration::from_micros(900)).is_empty());
        assert_eq!(due(&mut wheel, start + Duration::from_millis(8)), [0]);
        assert!(due(&mut wheel, start + Duration::from_micros(9_999)).is_empty());
        assert_eq!(due(&mut wheel, start + Duration::from_millis(18)), [1]);
        assert!(due(&mut wheel, start + Duration::from_millis(8_999)).is_empty());
        assert_eq!(due(&mut wheel, start + Duration::from_millis(9_008)), [2]);
        assert!(wheel.is_empty());
    }

    #[test]
    fn a_slot_may_be_set_again_and_a_past_deadline_is_due_at_once() {
        let start = Instant::now();
        let mut wheel = Wheel::new(start);
        let late = start + Duration::from_secs(60);
        due(&mut wheel, late);
        wheel.set(7, start);
        assert_eq!(due(&mut wheel, late + TICK), [7]);
        wheel.set(7, late + TICK);
        wheel.clear(7);
        wheel.clear(7);
        assert!(due(&mut wheel, late + TICK * 5000).is_empty());
    }

    #[test]
    fn many_share_a_list() {
        let start = Instant::now();
        let mut wheel = Wheel::new(start);
        for slot in 0..100 {
            wheel.set(slot, start + TICK);
        }
        (0..100).step_by(2).for_each(|slot| wheel.clear(slot));
        let odd: Vec<u32> = (1..100).step_by(2).collect();
        assert_eq!(due(&mut wheel, start + TICK * 4), odd);
    }
}
