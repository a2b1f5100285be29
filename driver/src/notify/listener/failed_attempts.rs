//! Counts how often each notification has failed here, so that one that always fails is given up,
//! and how long the next attempt waits, so that a short failure of something else loses none.
//!
//! The key of a notification is a keyed hash of its bytes, which come again unchanged: it may have
//! no id. Bounded: the last [`WINDOW`] that failed; one that was pushed out starts at zero. Not
//! here: notifications that an endpoint requeues, which go back as often as it asks.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The most failures remembered: 2 MiB, and nothing while none fails.
const WINDOW: usize = 1 << 16;
/// The pause between the first attempt and the second; it doubles with each attempt.
pub(crate) const DELAY: Duration = Duration::from_millis(100);
/// The longest pause between two attempts.
pub(crate) const DELAY_MAX: Duration = Duration::from_secs(10);

/// The failures of one listener.
pub(crate) struct FailedAttempts {
    max: Option<u32>,
    hasher: RandomState,
    failed: Mutex<Failed>,
    /// Whether anything is counted; nothing is hashed otherwise.
    any: AtomicBool,
}

#[derive(Default)]
struct Failed {
    counts: HashMap<u64, u32>,
    order: VecDeque<u64>,
}

impl FailedAttempts {
    /// Allows `max` attempts for each; without it any number.
    pub(crate) fn new(max: Option<u32>) -> Self {
        let any = AtomicBool::new(false);
        Self { max, hasher: RandomState::new(), failed: Mutex::default(), any }
    }

    /// Counts a failure, unless it happened in a batch and another notification may have caused it.
    /// Returns the pause before the next attempt, if there is one.
    pub(crate) fn failed(&self, body: &[u8], is_batched: bool) -> Option<Duration> {
        let key = self.key(body);
        let failed = &mut *self.lock();
        self.any.store(true, Ordering::Release);
        let Failed { counts, order } = failed;
        let count = counts.entry(key).or_insert_with(|| {
            order.push_back(key);
            0
        });
        *count += u32::from(!is_batched);
        let count = *count;
        if order.len() > WINDOW {
            let oldest = order.pop_front().expect("longer than the window");
            counts.remove(&oldest);
        }
        if self.max.is_some_and(|max| count >= max.max(1)) {
            counts.remove(&key);
            return None;
        }
        Some(DELAY.saturating_mul(1 << count.saturating_sub(1).min(16)).min(DELAY_MAX))
    }

    /// Whether it has failed before: it is processed alone then.
    pub(crate) fn suspects(&self, body: &[u8]) -> bool {
        self.any.load(Ordering::Acquire) && self.lock().counts.contains_key(&self.key(body))
    }

    /// Forgets a notification that was handled.
    pub(crate) fn forget(&self, body: &[u8]) {
        let counts = &mut self.lock().counts;
        counts.remove(&self.key(body));
        self.any.store(!counts.is_empty(), Ordering::Release);
    }

    fn key(&self, body: &[u8]) -> u64 {
        self.hasher.hash_one(body)
    }

    fn lock(&self) -> MutexGuard<'_, Failed> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_counted_and_take_ever_longer() {
        let attempts = FailedAttempts::new(Some(3));
        let failed = |text: &str| attempts.failed(text.as_bytes(), false);
        assert_eq!([failed("a"), failed("a"), failed("a")], [Some(DELAY), Some(DELAY * 2), None]);
        assert!(!attempts.suspects(b"a"), "it is gone");
        assert_eq!(failed("b"), Some(DELAY));
        assert_eq!(FailedAttempts::new(Some(1)).failed(b"a", false), None);
        let endless = FailedAttempts::new(None);
        let last = (0..100).map(|_| endless.failed(b"a", false)).last().flatten();
        assert_eq!(last, Some(DELAY_MAX));
    }

    #[test]
    fn company_is_suspected_but_not_blamed() {
        let attempts = FailedAttempts::new(Some(1));
        assert!(!attempts.suspects(b"a"));
        assert_eq!(attempts.failed(b"a", true), Some(DELAY));
        assert!(attempts.suspects(b"a") && !attempts.suspects(b"b"));
        attempts.forget(b"a");
        assert!(!attempts.suspects(b"a"));
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let attempts = FailedAttempts::new(None);
        for one in 0..=WINDOW {
            assert!(attempts.failed(&one.to_be_bytes(), false).is_some());
        }
        assert!(
            !attempts.suspects(&0_usize.to_be_bytes()) && attempts.suspects(&1_usize.to_be_bytes())
        );
    }
}
