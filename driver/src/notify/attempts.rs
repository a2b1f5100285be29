//! How often each notification has failed here, so that a poisonous one does not come for ever.
//!
//! Bounded: the last [`WINDOW`] that failed; one that was pushed out begins anew. Not here: those
//! that an endpoint asked to requeue, which go back as often as it asks.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

/// Notifications whose failures are counted. More than a listener holds at a time unless its
/// prefetch is set higher.
const WINDOW: usize = 4096;

/// The counters.
pub(super) struct Attempts {
    max: u32,
    failed: Mutex<Failed>,
}

#[derive(Default)]
struct Failed {
    counts: HashMap<Box<str>, u32>,
    order: VecDeque<Box<str>>,
}

impl Attempts {
    /// At most `max` attempts each.
    pub(super) fn new(max: u32) -> Self {
        Self { max, failed: Mutex::default() }
    }

    /// Counts a failure; whether there is another attempt.
    pub(super) fn may_try_again(&self, id: &str) -> bool {
        let failed = &mut *self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = failed.counts.get_mut(id) {
            *count += 1;
            return *count < self.max;
        }
        failed.counts.insert(id.into(), 1);
        failed.order.push_back(id.into());
        if failed.order.len() > WINDOW {
            let oldest = failed.order.pop_front().expect("longer than the window");
            failed.counts.remove(&oldest);
        }
        self.max > 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_counted_and_forgotten() {
        let attempts = Attempts::new(3);
        assert!(attempts.may_try_again("a") && attempts.may_try_again("a"));
        assert!(!attempts.may_try_again("a"), "the third was the last");
        assert!(attempts.may_try_again("b"));
        assert!((0..WINDOW).all(|other| attempts.may_try_again(&other.to_string())));
        assert!(attempts.may_try_again("a"), "pushed out");
        assert!(!Attempts::new(1).may_try_again("a"));
    }
}
