//! Acknowledgements from other threads, on their way to the shard.
//!
//! Bounded by what is unacknowledged. Each carries the epoch of its channel: an answer to a
//! delivery of an older epoch is dropped, because its tag would close the new channel (406).

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::proto::Answer;
use crate::shard::border::doorbell::Doorbell;

#[derive(Debug)]
pub(crate) struct AckQueue {
    acks: Mutex<Vec<PendingAck>>,
    filled: AtomicBool,
    /// That of the channel now; the shard writes it.
    epoch: AtomicU32,
    bell: Arc<Doorbell>,
}

/// One answer to one delivery.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PendingAck {
    pub(crate) epoch: u32,
    pub(crate) tag: u64,
    pub(crate) answer: Answer,
}

impl AckQueue {
    pub(crate) fn new(bell: Arc<Doorbell>) -> Self {
        Self {
            acks: Mutex::default(),
            filled: AtomicBool::new(false),
            epoch: AtomicU32::new(0),
            bell,
        }
    }

    pub(crate) fn push(&self, ack: PendingAck) {
        let mut acks = self.acks.lock().unwrap_or_else(PoisonError::into_inner);
        let first = acks.is_empty();
        acks.push(ack);
        if first {
            self.filled.store(true, Ordering::Release);
        }
        drop(acks);
        if first {
            self.bell.ring();
        }
    }

    pub(crate) fn is_filled(&self) -> bool {
        self.filled.load(Ordering::Acquire)
    }

    /// Whether an answer to a delivery of this epoch still means anything.
    pub(crate) fn is_current_epoch(&self, epoch: u32) -> bool {
        self.epoch.load(Ordering::Acquire) == epoch
    }

    /// Answers to deliveries of other epochs are dropped from now on. The shard's half.
    pub(crate) fn set_epoch(&self, epoch: u32) {
        self.epoch.store(epoch, Ordering::Release);
    }

    /// Swaps the acks for an empty list. The shard's half.
    pub(crate) fn take(&self, spare: &mut Vec<PendingAck>) {
        let mut acks = self.acks.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut *acks, spare);
        self.filled.store(false, Ordering::Release);
    }
}
