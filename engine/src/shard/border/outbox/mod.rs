//! The outbox of a channel: callers append publications, the shard takes all of them at once.
//!
//! The lock covers the check for room, one copy and one record. A body that exists is framed under
//! the lock; a body that user code writes is rendered by the caller before. Invariants: bytes and
//! records describe the same publications in the same order; no user code runs under the lock; the
//! caller that makes an outbox non-empty rings the bell; while publications wait for room, no later
//! one gets room before them. The order of publications is in `publication_queue`, the queue for
//! room in `room`. Delivery tags are counted when the shard sends a segment.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::error::Error;
use crate::outcome::Nacked;
use crate::proto::Record;
use crate::shard::border::doorbell::Doorbell;
use crate::shard::border::outbox::publication_queue::{PublicationQueue, Remaining};
use crate::shard::border::outbox::reframe::unframe;
use crate::shard::border::outbox::room::{RoomQueue, fits};
use crate::shard::border::outbox::segment::{Rendered, Segment};
use crate::shard::border::slab::{TicketError, Token};
use crate::shard::border::tickets::Tickets;
use crate::wire::{FRAME_OVERHEAD, Ids, Template};

/// Why a publication was not accepted.
#[derive(Debug)]
pub(crate) enum PushError {
    /// There is no room for `bytes` now, or earlier publications wait for room.
    Full {
        bytes: usize,
    },
    /// The connection now allows smaller frames only. The caller has to render the publication
    /// again.
    FrameMax,
    Closed(Error),
}

#[derive(Debug)]
pub(crate) struct Outbox {
    inner: Mutex<Inner>,
    bell: Arc<Doorbell>,
    filled: AtomicBool,
    /// True while publications wait for room. Changes under the lock only.
    contended: AtomicBool,
    frame_max: AtomicU32,
    /// Bytes of publications that were sent and are not confirmed yet.
    unconfirmed_bytes: AtomicUsize,
    /// Number of publications that are sent alone.
    suspects: AtomicUsize,
    bytes_max: usize,
    /// The tickets of publications that wait for room.
    waiters: Arc<Tickets<()>>,
}

/// A place in the queue for room, or granted room for one publication. Dropping it leaves the queue
/// or returns the room.
#[derive(Debug)]
pub(crate) struct Permit<'a> {
    outbox: &'a Outbox,
    number: u64,
    /// 0 after the room was used.
    bytes: usize,
}

/// What the lock protects.
#[derive(Debug, Default)]
struct Inner {
    queue: PublicationQueue,
    room: RoomQueue,
    closed: Option<Error>,
}

/// What became of a publication whose publisher no longer waits for it.
#[derive(Debug)]
pub(crate) enum Withdrawn {
    /// It is not in the outbox, or it may have been sent before.
    No,
    /// It was never sent.
    Unsent,
    /// The broker had refused it, and it waited to be sent again.
    Nacked(Box<Nacked>),
}

impl Inner {
    /// The error of a publication for which there is no room.
    #[cold]
    fn push_error(&self, bytes: usize) -> PushError {
        self.closed
            .as_ref()
            .map_or(PushError::Full { bytes }, |error| PushError::Closed(error.clone()))
    }
}

impl Outbox {
    pub(crate) fn new(bell: Arc<Doorbell>, waiters: Arc<Tickets<()>>, bytes_max: usize) -> Self {
        Self {
            inner: Mutex::default(),
            bell,
            filled: AtomicBool::new(false),
            contended: AtomicBool::new(false),
            frame_max: AtomicU32::new(crate::proto::FRAME_MAX_MIN),
            unconfirmed_bytes: AtomicUsize::new(0),
            suspects: AtomicUsize::new(0),
            bytes_max,
            waiters,
        }
    }

    /// The frame size that callers split bodies for.
    pub(crate) fn frame_max(&self) -> u32 {
        self.frame_max.load(Ordering::Acquire)
    }

    /// Appends a publication that its caller has rendered. Consumes the `permit`.
    pub(crate) fn push(
        &self,
        publication: &Rendered,
        record: Record,
        permit: &mut Option<Permit<'_>>,
    ) -> Result<(), PushError> {
        let body: usize = publication.parts.iter().map(|(_, body)| body.len()).sum();
        let bytes = publication.frames.len() + body;
        let mut inner = self.lock();
        if !self.has_room(&inner, bytes, permit) {
            return Err(inner.push_error(bytes));
        }
        if publication.frame_max > self.frame_max() {
            return Err(PushError::FrameMax);
        }
        inner.queue.new.push(publication, record);
        self.finish_push(inner, permit);
        Ok(())
    }

    /// Appends a publication whose small body is in memory, and frames the body in place. Consumes
    /// the `permit`.
    pub(crate) fn push_body(
        &self,
        template: &Template,
        (body, ids): (&[u8], &Ids<'_>),
        record: Record,
        permit: &mut Option<Permit<'_>>,
    ) -> Result<(), PushError> {
        let bytes = template.len() + body.len() + FRAME_OVERHEAD as usize;
        let mut inner = self.lock();
        if !self.has_room(&inner, bytes, permit) {
            return Err(inner.push_error(bytes));
        }
        inner.queue.new.push_body(template, body, ids, self.frame_max(), record);
        self.finish_push(inner, permit);
        Ok(())
    }

    #[inline]
    fn has_room(&self, inner: &Inner, bytes: usize, permit: &Option<Permit<'_>>) -> bool {
        let granted = permit.as_ref().map_or(0, |permit| permit.bytes);
        if inner.closed.is_some() || (granted == 0 && inner.room.is_contended()) {
            return false;
        }
        // A body that was rendered again after the wait may be larger than what was granted.
        bytes <= granted
            || fits(self.in_use(inner) + inner.room.reserved() - granted, bytes, self.bytes_max)
    }

    /// Bytes of publications that wait, and of those sent and unconfirmed.
    #[inline]
    fn in_use(&self, inner: &Inner) -> usize {
        inner.queue.size() + self.unconfirmed_bytes.load(Ordering::Relaxed)
    }

    /// Completes an append: uses the permit, and rings the bell if the outbox was empty.
    #[inline]
    fn finish_push(&self, mut inner: MutexGuard<'_, Inner>, permit: &mut Option<Permit<'_>>) {
        if let Some(permit) = permit {
            inner.room.used(std::mem::take(&mut permit.bytes));
        }
        let first = inner.queue.has_only_one_new();
        if first {
            self.filled.store(true, Ordering::Release);
        }
        drop(inner);
        if first {
            self.bell.ring();
        }
    }

    /// True while publications wait for room. A later one has to wait too.
    pub(crate) fn is_contended(&self) -> bool {
        self.contended.load(Ordering::Relaxed)
    }

    /// Waits for room for `bytes`, behind earlier waiters. A closed outbox grants room to everyone;
    /// the push then returns why it is closed.
    pub(crate) async fn acquire(
        &self,
        bytes: usize,
        deadline: Instant,
    ) -> Result<Permit<'_>, TicketError> {
        let ticket = self.waiters.open(Some(deadline));
        // The permit returns the room if this future is dropped.
        let permit = self.enqueue(ticket.token(), bytes);
        ticket.await?;
        Ok(permit)
    }

    fn enqueue(&self, token: Token, bytes: usize) -> Permit<'_> {
        let mut inner = self.lock();
        let number = inner.room.join(token, bytes);
        self.contended.store(true, Ordering::Relaxed);
        let permit = Permit { outbox: self, number, bytes };
        self.grant(inner);
        permit
    }

    /// Withdraws a publication that waits here. If it was sent before on a lost connection, it is
    /// not sent again.
    pub(crate) fn withdraw(&self, token: Token) -> Withdrawn {
        let mut inner = self.lock();
        if inner.queue.withdraw_new(token) {
            return Withdrawn::Unsent;
        }
        if inner.queue.withdraw_resend(token) {
            return Withdrawn::No;
        }
        let delayed = inner.queue.remove(token);
        self.suspects.store(inner.queue.suspects(), Ordering::Release);
        // The bytes of a removed publication are free.
        self.grant(inner);
        let Some(publication) = delayed else { return Withdrawn::No };
        Withdrawn::Nacked(Box::new(unframe(&publication, 0..publication.records[0].end)))
    }

    /// Stores a refused publication until it is [due](Self::release_due).
    pub(crate) fn hold_until(&self, publication: Segment, due: Instant) {
        self.lock().queue.delay(publication, due);
    }

    /// Queues the refused publications that are due to be sent again. Returns when the next one is
    /// due.
    pub(crate) fn release_due(&self, now: Instant) -> Option<Instant> {
        let mut inner = self.lock();
        if !inner.queue.has_delayed() {
            return None;
        }
        let next = inner.queue.release_due(now);
        self.filled.store(!inner.queue.is_empty(), Ordering::Release);
        next
    }

    /// Queues publications each of which may have closed the channel. They leave before all others,
    /// one at a time, each while nothing else is unconfirmed.
    pub(crate) fn send_alone(&self, suspects: Vec<Segment>) {
        if suspects.is_empty() {
            return;
        }
        let mut inner = self.lock();
        inner.queue.push_suspects(suspects);
        self.suspects.store(inner.queue.suspects(), Ordering::Release);
        self.filled.store(!inner.queue.is_empty(), Ordering::Release);
    }

    /// Whether the next publication is to be sent alone.
    pub(crate) fn has_suspects(&self) -> bool {
        self.suspects.load(Ordering::Acquire) > 0
    }

    /// Queues the publications of a lost connection to be sent again, before all others.
    pub(crate) fn send_again(&self, publications: Segment) {
        if publications.is_empty() {
            return;
        }
        let mut inner = self.lock();
        inner.queue.push_resend(publications);
        self.filled.store(true, Ordering::Release);
    }

    /// Bytes of publications that wait, and of those sent and unconfirmed.
    pub(crate) fn bytes(&self) -> usize {
        self.in_use(&self.lock())
    }

    pub(crate) fn is_filled(&self) -> bool {
        self.filled.load(Ordering::Acquire)
    }

    /// Takes the publications that leave next and puts an empty segment in their place. With
    /// confirms, their bytes count until they are [released](Self::release). For the shard only.
    pub(crate) fn take(&self, spare: Segment, has_confirms: bool) -> Segment {
        let mut inner = self.lock();
        let (segment, withdrawn) = inner.queue.take(spare);
        self.suspects.store(inner.queue.suspects(), Ordering::Release);
        if has_confirms {
            // Under the lock, because otherwise there would seem to be room in between.
            self.unconfirmed_bytes.fetch_add(segment.size(), Ordering::Relaxed);
        }
        self.filled.store(!inner.queue.is_empty(), Ordering::Release);
        drop(inner);
        if withdrawn == 0 {
            return segment;
        }
        let left = segment.without_settled();
        if has_confirms {
            self.release(segment.size() - left.size());
        }
        left
    }

    /// Subtracts the bytes of publications that were confirmed or dropped.
    pub(crate) fn release(&self, bytes: usize) {
        let unconfirmed = self.unconfirmed_bytes.fetch_sub(bytes, Ordering::Relaxed) - bytes;
        if self.may_grant(unconfirmed) {
            self.grant_room();
        }
    }

    /// Grants no room while more than half of the budget is unconfirmed. A grant for every confirm
    /// would wake publishers one at a time, and each of them would publish one message and sleep
    /// again.
    fn may_grant(&self, unconfirmed: usize) -> bool {
        unconfirmed <= self.bytes_max / 2
    }

    /// Grants the room that has become free.
    pub(crate) fn grant_room(&self) {
        self.grant(self.lock());
    }

    /// Grants room to the first waiters and wakes them. Wakes all of them if the outbox is closed.
    fn grant(&self, mut inner: MutexGuard<'_, Inner>) {
        if !inner.room.is_contended() {
            return;
        }
        let granted = if inner.closed.is_some() {
            inner.room.dismiss()
        } else if self.may_grant(self.unconfirmed_bytes.load(Ordering::Relaxed)) {
            let in_use = self.in_use(&inner);
            inner.room.grant(in_use, self.bytes_max)
        } else {
            Vec::new()
        };
        self.contended.store(inner.room.is_contended(), Ordering::Relaxed);
        drop(inner);
        if !granted.is_empty() {
            self.waiters.complete_all(granted.into_iter().map(|token| (token, ())));
        }
    }

    /// Sets the frame size of the opened channel and splits the bodies that wait to fit it.
    pub(crate) fn open(&self, channel: u16, frame_max: u32) {
        let mut inner = self.lock();
        if frame_max < self.frame_max() {
            inner.queue.reframe(channel, frame_max);
        }
        self.frame_max.store(frame_max, Ordering::Release);
        drop(inner);
    }

    /// Whether the outbox accepts no publications any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed.is_some()
    }

    /// Accepts no further publications. Those that wait may still be sent.
    pub(crate) fn stop_accepting(&self, error: Error) {
        self.lock().closed.get_or_insert(error);
        self.grant_room();
    }

    /// Accepts no further publications, and returns those that wait.
    pub(crate) fn close(&self, error: Error) -> Remaining {
        let mut inner = self.lock();
        inner.closed.get_or_insert(error);
        let left = inner.queue.take_all();
        self.filled.store(false, Ordering::Release);
        drop(inner);
        self.grant_room();
        left
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if self.bytes > 0 {
            let mut inner = self.outbox.lock();
            inner.room.leave(self.number, self.bytes);
            self.outbox.contended.store(inner.room.is_contended(), Ordering::Relaxed);
            self.outbox.grant(inner);
        }
    }
}

pub(crate) mod publication_queue;
pub(crate) mod reframe;
pub(crate) mod room;
pub(crate) mod segment;
#[cfg(test)]
mod tests;
