//! Acknowledgements from other threads, on their way to the shard.
//!
//! Bounded by what is unacknowledged. Each carries the epoch of its channel: an answer to a
//! delivery of an older epoch is dropped, because its tag would close the new channel (406).

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::proto::Answer;
use crate::shard::border::doorbell::Doorbell;

#[derive(Debug)]
pub(crate) struct AckBox {
    answers: Mutex<Vec<Given>>,
    filled: AtomicBool,
    /// That of the channel now; the shard writes it.
    epoch: AtomicU32,
    bell: Arc<Doorbell>,
}

/// One answer to one delivery.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Given {
    pub(crate) epoch: u32,
    pub(crate) tag: u64,
    pub(crate) answer: Answer,
}

impl AckBox {
    pub(crate) fn new(bell: Arc<Doorbell>) -> Self {
        Self {
            answers: Mutex::default(),
            filled: AtomicBool::new(false),
            epoch: AtomicU32::new(0),
            bell,
        }
    }

    pub(crate) fn push(&self, given: Given) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let first = answers.is_empty();
        answers.push(given);
        if first {
            self.filled.store(true, Ordering::Release);
        }
        drop(answers);
        if first {
            self.bell.ring();
        }
    }

    pub(crate) fn is_filled(&self) -> bool {
        self.filled.load(Ordering::Acquire)
    }

    /// Whether an answer to a delivery of this epoch still means anything.
    pub(crate) fn takes(&self, epoch: u32) -> bool {
        self.epoch.load(Ordering::Acquire) == epoch
    }

    /// Answers to deliveries of other epochs are dropped from now on. The shard's half.
    pub(crate) fn begin(&self, epoch: u32) {
        self.epoch.store(epoch, Ordering::Release);
    }

    /// Swaps the answers for an empty list. The shard's half.
    pub(crate) fn take(&self, spare: &mut Vec<Given>) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut *answers, spare);
        self.filled.store(false, Ordering::Release);
    }
}
