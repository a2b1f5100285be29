//! Bounds on replies that no queue took: how many wait to be sent again, and which queues stayed
//! away.
//!
//! Callers decide how large their replies are, so those that wait are bounded by bytes as well as
//! by number. Not here: when they are sent again (`reply_sender`).

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::runtime::timer;

/// Replies that may wait to be sent again, and their bytes; the reply that exceeds it is the last.
const REPLIES_MAX: usize = 10_000;
const BYTES_MAX: usize = 16 << 20;

/// As oslo: missing queues that are remembered, and for how long.
const QUEUES_MAX: usize = 200;
const QUEUE_TTL: Duration = Duration::from_secs(60);

/// How much waits to be sent again.
#[derive(Default)]
pub(super) struct RetryBudget {
    replies: AtomicUsize,
    bytes: AtomicUsize,
}

impl RetryBudget {
    /// Reserves room for one more reply of this size; false if there is none.
    pub(super) fn reserve(&self, bytes: usize) -> bool {
        let replies = self.replies.fetch_add(1, Ordering::Relaxed);
        let held = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let has_room = replies < REPLIES_MAX && held < BYTES_MAX;
        if !has_room {
            self.release(bytes);
        }
        has_room
    }

    /// Releases the room of a reply of this size.
    pub(super) fn release(&self, bytes: usize) {
        self.replies.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Reply queues that stayed missing until a reply was given up: they get no reply for a while.
#[derive(Default)]
pub(super) struct MissingQueues(Mutex<HashMap<Box<str>, Instant>>);

impl MissingQueues {
    pub(super) fn insert(&self, queue: &str) {
        let now = timer::now();
        let mut queues = self.lock();
        queues.retain(|_, since| now < *since + QUEUE_TTL);
        if queues.len() < QUEUES_MAX {
            queues.insert(queue.into(), now);
        }
    }

    pub(super) fn contains(&self, queue: &str) -> bool {
        let queues = self.lock();
        // Mostly there is none, and the clock need not be read.
        !queues.is_empty()
            && queues.get(queue).is_some_and(|since| timer::now() < *since + QUEUE_TTL)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
