//! Acknowledgements on their way from other threads to the shard.
//!
//! The prefetch bounds their number. Each carries the epoch of its channel. The shard drops an
//! acknowledgement of an older epoch, because the broker would close the new channel for its
//! unknown delivery tag (406).

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::proto::Acknowledgement;
use crate::shard::border::doorbell::Doorbell;

#[derive(Debug)]
pub(crate) struct AckQueue {
    acks: Mutex<Vec<PendingAck>>,
    filled: AtomicBool,
    /// The epoch of the channel now. Only the shard writes it.
    epoch: AtomicU32,
    bell: Arc<Doorbell>,
}

/// One answer to one delivery.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PendingAck {
    pub(crate) epoch: u32,
    pub(crate) tag: u64,
    pub(crate) answer: Acknowledgement,
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

    /// Whether an answer to a delivery of this epoch still reaches the broker.
    pub(crate) fn is_current_epoch(&self, epoch: u32) -> bool {
        self.epoch.load(Ordering::Acquire) == epoch
    }

    /// Starts an epoch: drops answers of all others from now on. For the shard only.
    pub(crate) fn set_epoch(&self, epoch: u32) {
        self.epoch.store(epoch, Ordering::Release);
    }

    /// Swaps the acknowledgements for an empty vector. For the shard only.
    pub(crate) fn take(&self, spare: &mut Vec<PendingAck>) {
        let mut acks = self.acks.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut *acks, spare);
        self.filled.store(false, Ordering::Release);
    }
}
