//! Bounds how much of what was received may wait, and stops reading beyond that.
//!
//! Peers decide how large messages are, so a bound on their number alone is none on memory. A
//! server or a listener that is behind stops reading from its connection, and TCP stops the broker;
//! it resumes once half of what waited is gone. Where other consumers share the connection, among
//! them the one of replies that handlers may wait for, only the prefetch bounds messages that have
//! to be acknowledged. Not here: what is counted as waiting (`observe`).

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use leveret_engine::{ConsumerHandle, Delivery};

/// The most bytes of messages that wait to be handled.
pub(crate) const WAITING_BYTES_MAX: usize = 16 << 20;
/// The most messages that wait where no prefetch bounds them.
const UNBOUNDED_MAX: usize = 16_384;
/// The most bytes of messages that are being handled where their number has no bound.
const RUNNING_BYTES_MAX: usize = 64 << 20;
/// Deliveries up to this size that wait long are copied out of the connection's receive blocks,
/// which are 64 KiB each.
const DETACHED_BYTES_MAX: usize = 32 << 10;

/// What a server or a listener has not finished.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// Messages that wait.
    pub(crate) messages: usize,
    /// Their bytes.
    pub(crate) bytes: usize,
    /// Bytes of messages that are being handled, where their number has no bound.
    pub(crate) running: usize,
}

/// The bound of one server or listener.
#[derive(Default)]
pub(crate) struct IntakeLimit {
    is_reached: AtomicBool,
    is_lifted: AtomicBool,
    /// The consumer that resumes reading, and whether it has a connection of its own.
    reader: OnceLock<(ConsumerHandle, bool)>,
}

impl IntakeLimit {
    /// Sets the consumer whose connection the messages come through. `is_exclusive`: no other
    /// purpose uses that connection.
    pub(crate) fn attach(&self, consumer: ConsumerHandle, is_exclusive: bool) {
        // A second consumer would be on the same connection.
        let _ = self.reader.set((consumer, is_exclusive));
    }

    /// Whether reading from the connection stops at this load. `no_ack`: the queue has no prefetch.
    pub(crate) fn stops_reading(&self, load: Load, no_ack: bool) -> bool {
        let is_reached = load.bytes >= WAITING_BYTES_MAX
            || load.running >= RUNNING_BYTES_MAX
            || no_ack && load.messages >= UNBOUNDED_MAX;
        if is_reached {
            self.is_reached.store(true, Ordering::Release);
        }
        is_reached && (no_ack || self.may_stop())
    }

    fn may_stop(&self) -> bool {
        let is_exclusive = self.reader.get().is_some_and(|(_, is_exclusive)| *is_exclusive);
        is_exclusive && !self.is_lifted.load(Ordering::Acquire)
    }

    /// Whether the limit was reached and less than half has gone since.
    pub(crate) fn is_reached(&self) -> bool {
        self.is_reached.load(Ordering::Acquire)
    }

    /// Resumes reading if the limit was reached and `load` is half of it at most. To be called when
    /// a message no longer waits, or was handled.
    pub(crate) fn resume_if_eased(&self, load: impl FnOnce() -> Load) {
        if !self.is_reached() {
            return;
        }
        let Load { messages, bytes, running } = load();
        let has_room = messages < UNBOUNDED_MAX / 2
            && bytes < WAITING_BYTES_MAX / 2
            && running < RUNNING_BYTES_MAX / 2;
        if has_room && self.is_reached.swap(false, Ordering::AcqRel) {
            self.resume();
        }
    }

    /// Resumes reading at any load, unless the queue has no prefetch: the consumers are about to be
    /// cancelled, and the broker's answer has to be read.
    pub(crate) fn lift(&self) {
        self.is_lifted.store(true, Ordering::Release);
        self.resume();
    }

    fn resume(&self) {
        self.reader.get().into_iter().for_each(|(consumer, _)| consumer.resume());
    }
}

/// Copies a small delivery that will wait long, so that it holds no receive block.
pub(crate) fn detach(delivery: &mut Delivery) {
    if delivery.body().len() <= DETACHED_BYTES_MAX {
        delivery.detach();
    }
}
