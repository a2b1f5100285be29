//! How much of what came in may wait to be handled, and how reading stops beyond that.
//!
//! Peers decide how large messages are, so a bound on their number alone is none on memory. A
//! server or a listener that is behind stops the reading of its connection, and TCP the broker; it
//! reads on once half of what waited is gone. Where others read through the same connection, among
//! them replies that handlers may be waiting for, only the prefetch bounds what has to be
//! acknowledged. Not here: what is counted as waiting (`observe`).

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use leveret_engine::{ConsumerHandle, Delivery};

/// Bytes of messages that wait to be handled.
pub(crate) const WAITING_BYTES_MAX: usize = 16 << 20;
/// Messages that wait where no prefetch bounds them.
const UNBOUNDED_MAX: usize = 16_384;
/// Bytes of messages that are being handled where nothing bounds how many are at a time.
const RUNNING_BYTES_MAX: usize = 64 << 20;
/// Deliveries up to this size are taken out of the connection's receive blocks, which are 64 KiB
/// each, if they wait for long.
const DETACHED_BYTES_MAX: usize = 32 << 10;

/// What a server or a listener has not done with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// Messages that wait.
    pub(crate) messages: usize,
    /// Their bytes.
    pub(crate) bytes: usize,
    /// Bytes of those that are being handled, where that is as many as come.
    pub(crate) running: usize,
}

/// The bound of one server or listener.
#[derive(Default)]
pub(crate) struct IntakeLimit {
    is_reached: AtomicBool,
    is_lifted: AtomicBool,
    /// A consumer that reading goes on through, and whether it has a connection of its own.
    reader: OnceLock<(ConsumerHandle, bool)>,
}

impl IntakeLimit {
    /// Sets the consumer whose connection the messages come through. `is_exclusive`: nothing else
    /// uses that connection.
    pub(crate) fn attach(&self, consumer: ConsumerHandle, is_exclusive: bool) {
        // A second one would be of the same connection.
        let _ = self.reader.set((consumer, is_exclusive));
    }

    /// Whether the connection is not to be read at this load. `no_ack`: the queue has no prefetch.
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

    /// Reads on if the limit was reached and `load` is half of it at most: to be called when a
    /// message no longer waits, or was handled.
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

    /// Reads on whatever the load, unless the queue has no prefetch: the consumers are about to be
    /// cancelled, and the broker's answer has to be read.
    pub(crate) fn lift(&self) {
        self.is_lifted.store(true, Ordering::Release);
        self.resume();
    }

    fn resume(&self) {
        self.reader.get().into_iter().for_each(|(consumer, _)| consumer.resume());
    }
}

/// Keeps a delivery that will wait for long from holding much more memory than it is large.
pub(crate) fn detach(delivery: &mut Delivery) {
    if delivery.body().len() <= DETACHED_BYTES_MAX {
        delivery.detach();
    }
}
