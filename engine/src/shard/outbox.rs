//! The road down: one outbox per channel, filled by callers and swapped out whole by the shard.
//!
//! The lock covers room, one copy, one record: a body that exists is framed in place, what user
//! code writes is rendered by its caller before. Invariants: bytes and records describe the same
//! publications in the same order; no user code runs under the lock; whoever makes an outbox
//! non-empty rings the bell. Not here: delivery tags, counted when a segment is sent.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::doorbell::Doorbell;
use super::places::Token;
use super::reframe::{reframe, unframe};
use super::segment::{Rendered, Segment};
use super::ticket::{Ticket, Tickets};
use crate::proto::Record;
use crate::wire::{FRAME_OVERHEAD, Ids, Template};
use crate::{Error, Nacked, reactor};

/// What an outbox held when it was closed.
#[derive(Debug, Default)]
pub(super) struct Left {
    pub(super) unsent: Segment,
    pub(super) resend: Segment,
    pub(super) delayed: Vec<Segment>,
}

/// Why a publication was not taken.
#[derive(Debug)]
pub(crate) enum Refused {
    Full,
    /// The connection now allows smaller frames only; render again.
    FrameMax,
    Closed(Error),
}

#[derive(Debug)]
pub(crate) struct Outbox {
    inner: Mutex<Inner>,
    bell: Arc<Doorbell>,
    filled: AtomicBool,
    frame_max: AtomicU32,
    /// Bytes that were taken and are kept until confirmed.
    held: AtomicUsize,
    /// How many publications leave alone.
    suspects: AtomicUsize,
    bytes_max: usize,
    room: Arc<Tickets<()>>,
}

#[derive(Debug, Default)]
struct Inner {
    segment: Segment,
    withdrawn: usize,
    /// Publications of a lost connection, which leave before newer ones.
    resend: Segment,
    resend_withdrawn: usize,
    /// Each of these may have ended its channel, so each is sent alone.
    suspects: VecDeque<Segment>,
    /// Refused by the broker, to be sent again later.
    delayed: Vec<Delayed>,
    waiting: Vec<Token>,
    closed: Option<Error>,
}

/// A refused publication, and when it is to be sent again.
#[derive(Debug)]
pub(super) struct Delayed {
    pub(super) publication: Segment,
    pub(super) due: Instant,
}

/// What became of a publication that its publisher waits for no longer.
#[derive(Debug)]
pub(crate) enum Withdrawn {
    /// It is not here: it has left, and may be anywhere.
    No,
    /// It never left.
    Unsent,
    /// The broker had refused it, and it was to be sent again.
    Nacked(Box<Nacked>),
}

impl Inner {
    fn size(&self) -> usize {
        let suspects: usize = self.suspects.iter().map(Segment::size).sum();
        let delayed: usize = self.delayed.iter().map(|one| one.publication.size()).sum();
        self.segment.size() + self.resend.size() + suspects + delayed
    }

    fn is_empty(&self) -> bool {
        self.segment.is_empty() && self.resend.is_empty() && self.suspects.is_empty()
    }

    /// Why there is no room.
    #[cold]
    fn refusal(&self) -> Refused {
        self.closed.as_ref().map_or(Refused::Full, |error| Refused::Closed(error.clone()))
    }
}

impl Outbox {
    pub(crate) fn new(bell: Arc<Doorbell>, room: Arc<Tickets<()>>, bytes_max: usize) -> Self {
        Self {
            inner: Mutex::default(),
            bell,
            filled: AtomicBool::new(false),
            frame_max: AtomicU32::new(crate::proto::FRAME_MAX_MIN),
            held: AtomicUsize::new(0),
            suspects: AtomicUsize::new(0),
            bytes_max,
            room,
        }
    }

    /// The frame size callers cut bodies for.
    pub(crate) fn frame_max(&self) -> u32 {
        self.frame_max.load(Ordering::Acquire)
    }

    /// Takes in a publication its caller has rendered, or says why not.
    pub(crate) fn push(&self, publication: &Rendered, record: Record) -> Result<(), Refused> {
        let body: usize = publication.parts.iter().map(|(_, body)| body.len()).sum();
        let mut inner = self.lock();
        if !self.has_room(&inner, publication.frames.len() + body) {
            return Err(inner.refusal());
        }
        if publication.frame_max > self.frame_max() {
            return Err(Refused::FrameMax);
        }
        inner.segment.push(publication, record);
        self.taken(inner);
        Ok(())
    }

    /// Takes in a small body that exists, framed on the spot, or says why not.
    pub(crate) fn push_body(
        &self,
        template: &Template,
        (body, ids): (&[u8], &Ids<'_>),
        record: Record,
    ) -> Result<(), Refused> {
        let mut inner = self.lock();
        if !self.has_room(&inner, template.len() + body.len() + FRAME_OVERHEAD as usize) {
            return Err(inner.refusal());
        }
        inner.segment.push_body(template, body, ids, self.frame_max(), record);
        self.taken(inner);
        Ok(())
    }

    #[inline]
    fn has_room(&self, inner: &Inner, size: usize) -> bool {
        let used = inner.size() + self.held.load(Ordering::Relaxed);
        // A publication larger than the bound passes alone, or it could never pass.
        inner.closed.is_none() && (used == 0 || used + size <= self.bytes_max)
    }

    /// A publication was added.
    #[inline]
    fn taken(&self, inner: MutexGuard<'_, Inner>) {
        let first = inner.segment.records.len() == 1
            && inner.resend.is_empty()
            && inner.suspects.is_empty();
        if first {
            self.filled.store(true, Ordering::Release);
        }
        drop(inner);
        if first {
            self.bell.ring();
        }
    }

    /// A ticket that is answered when there may be room again.
    pub(crate) fn wait_for_room(&self, deadline: Instant) -> Ticket<()> {
        let ticket = self.room.open(Some(deadline));
        let mut inner = self.lock();
        let used = inner.size() + self.held.load(Ordering::Relaxed);
        if used == 0 || inner.closed.is_some() {
            drop(inner);
            self.room.complete_all(std::iter::once((ticket.token(), ())));
        } else {
            inner.waiting.push(ticket.token());
        }
        ticket
    }

    /// Takes back a publication that waits here. One that may have been sent before, on a
    /// connection that was lost, is not sent again.
    pub(crate) fn withdraw(&self, token: Token) -> Withdrawn {
        let mut inner = self.lock();
        if inner.segment.settle(token) {
            inner.withdrawn += 1;
            return Withdrawn::Unsent;
        }
        if inner.resend.settle(token) {
            inner.resend_withdrawn += 1;
            return Withdrawn::No;
        }
        inner.suspects.retain(|one| one.records[0].token != token);
        self.suspects.store(inner.suspects.len(), Ordering::Release);
        let Some(index) =
            inner.delayed.iter().position(|d| d.publication.records[0].token == token)
        else {
            return Withdrawn::No;
        };
        let Delayed { publication, .. } = inner.delayed.swap_remove(index);
        drop(inner);
        Withdrawn::Nacked(Box::new(unframe(&publication, 0..publication.records[0].end)))
    }

    /// A refused publication: it waits here until it is [due](Self::release_due).
    pub(super) fn delay(&self, publication: Segment, due: Instant) {
        self.lock().delayed.push(Delayed { publication, due });
    }

    /// Lets refused publications leave again whose time has come; when the next one's does.
    pub(super) fn release_due(&self, now: Instant) -> Option<Instant> {
        let mut inner = self.lock();
        if inner.delayed.is_empty() {
            return None;
        }
        let (due, later) = std::mem::take(&mut inner.delayed)
            .into_iter()
            .partition::<Vec<_>, _>(|one| one.due <= now);
        inner.delayed = later;
        for one in due {
            inner.resend.append(&one.publication);
        }
        self.filled.store(!inner.is_empty(), Ordering::Release);
        inner.delayed.iter().map(|one| one.due).min()
    }

    /// Publications each of which may have ended its channel: they leave before all others, each
    /// when nothing else is on its way.
    pub(super) fn send_alone(&self, suspects: Vec<Segment>) {
        if suspects.is_empty() {
            return;
        }
        let mut inner = self.lock();
        inner.suspects.extend(suspects);
        self.suspects.store(inner.suspects.len(), Ordering::Release);
        self.filled.store(!inner.is_empty(), Ordering::Release);
    }

    /// Whether the next publication is to leave alone.
    pub(super) fn has_suspects(&self) -> bool {
        self.suspects.load(Ordering::Acquire) > 0
    }

    /// Publications of a lost connection: they leave again, before all that wait.
    pub(crate) fn send_again(&self, mut survivors: Segment) {
        if survivors.is_empty() {
            return;
        }
        let mut inner = self.lock();
        survivors.append(&inner.resend);
        inner.resend = survivors;
        self.filled.store(true, Ordering::Release);
    }

    /// What it holds, of publications waiting and of those sent and unconfirmed.
    pub(crate) fn bytes(&self) -> usize {
        self.lock().size() + self.held.load(Ordering::Relaxed)
    }

    pub(crate) fn is_filled(&self) -> bool {
        self.filled.load(Ordering::Acquire)
    }

    /// Swaps the publications that leave next for an empty segment. With `hold` they count until
    /// they are released. The shard's half.
    pub(crate) fn take(&self, spare: Segment, hold: bool) -> Segment {
        let mut inner = self.lock();
        let suspect = inner.suspects.pop_front();
        self.suspects.store(inner.suspects.len(), Ordering::Release);
        let (segment, withdrawn) = if let Some(suspect) = suspect {
            (suspect, 0)
        } else if inner.resend.is_empty() {
            (std::mem::replace(&mut inner.segment, spare), std::mem::take(&mut inner.withdrawn))
        } else {
            let withdrawn = std::mem::take(&mut inner.resend_withdrawn);
            (std::mem::replace(&mut inner.resend, spare), withdrawn)
        };
        if hold {
            // Under the lock, or there would seem to be room meanwhile.
            self.held.fetch_add(segment.size(), Ordering::Relaxed);
        }
        self.filled.store(!inner.is_empty(), Ordering::Release);
        drop(inner);
        if withdrawn == 0 {
            return segment;
        }
        let left = segment.without_settled();
        if hold {
            self.release(segment.size() - left.size());
        }
        left
    }

    /// Bytes are kept no longer.
    ///
    /// Those who wait are woken once half of the budget is free: waking them for every confirm
    /// would make each of them publish, and sleep, one publication at a time.
    pub(crate) fn release(&self, bytes: usize) {
        let held = self.held.fetch_sub(bytes, Ordering::Relaxed) - bytes;
        if held <= self.bytes_max / 2 {
            self.announce_room();
        }
    }

    /// Wakes everyone who waits for room; those who lose the race wait again.
    pub(crate) fn announce_room(&self) {
        let mut inner = self.lock();
        if inner.waiting.is_empty() {
            return;
        }
        let mut waiting = std::mem::take(&mut inner.waiting);
        drop(inner);
        self.room.complete_all(waiting.drain(..).map(|token| (token, ())));
        let mut inner = self.lock();
        if inner.waiting.is_empty() {
            inner.waiting = waiting;
        }
    }

    /// The channel is open, under these limits; what waits is cut to fit them.
    pub(crate) fn open(&self, channel: u16, frame_max: u32) {
        let mut inner = self.lock();
        if frame_max < self.frame_max() {
            inner.segment = reframe(&inner.segment, channel, frame_max);
            inner.resend = reframe(&inner.resend, channel, frame_max);
            for suspect in &mut inner.suspects {
                *suspect = reframe(suspect, channel, frame_max);
            }
            for one in &mut inner.delayed {
                one.publication = reframe(&one.publication, channel, frame_max);
            }
        }
        self.frame_max.store(frame_max, Ordering::Release);
        drop(inner);
    }

    /// Nothing is taken any more; what waits may still leave.
    pub(crate) fn refuse(&self, error: Error) {
        self.lock().closed.get_or_insert(error);
        self.announce_room();
    }

    /// Nothing is taken any more; what still waits is given back: what never left, what was to
    /// leave again, and what the broker had refused.
    pub(super) fn close(&self, error: Error) -> Left {
        let mut inner = self.lock();
        inner.closed.get_or_insert(error);
        let mut resend = std::mem::take(&mut inner.resend);
        for suspect in inner.suspects.drain(..) {
            resend.append(&suspect);
        }
        let delayed = inner.delayed.drain(..).map(|one| one.publication).collect();
        let left = Left { unsent: std::mem::take(&mut inner.segment), resend, delayed };
        self.filled.store(false, Ordering::Release);
        drop(inner);
        self.announce_room();
        left
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When a wait that starts now and may last `timeout` ends: in 34 years at the latest, which clocks
/// and timers can count.
pub(crate) fn deadline_in(timeout: std::time::Duration) -> Instant {
    const FOR_EVER: std::time::Duration = std::time::Duration::from_secs(1 << 30);
    reactor::wall() + timeout.min(FOR_EVER)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::clock::Clock;
    use super::*;

    #[test]
    fn no_timeout_is_too_long_to_be_counted() {
        use std::time::Duration;
        for timeout in [Duration::MAX, Duration::from_secs(u64::MAX / 10)] {
            let left = deadline_in(timeout).saturating_duration_since(reactor::wall());
            assert!(left <= Duration::from_secs(1 << 30) && left > Duration::from_secs(1 << 29));
        }
    }

    fn outbox(bytes_max: usize) -> Outbox {
        let room = Tickets::new(&Arc::new(Clock::new(Instant::now())));
        Outbox::new(Arc::new(Doorbell::new()), room, bytes_max)
    }

    fn record(token: u64) -> Record {
        let (end, fingerprint, retries) = (0, 0, 0);
        let (mandatory, retain, settled, maybe_taken) = (false, false, false, false);
        Record { end, fingerprint, token, mandatory, retain, settled, retries, maybe_taken }
    }

    fn rendered(frames: &[u8], parts: &[(usize, Bytes)]) -> Rendered {
        let (frames, parts) = (frames.to_vec(), parts.to_vec());
        Rendered { frames, parts, frame_max: 4096, fingerprint: 0 }
    }

    #[test]
    fn bytes_and_records_are_swapped_together() {
        let outbox = outbox(100);
        outbox.push(&rendered(b"one", &[]), record(1)).unwrap();
        outbox.push(&rendered(b"three", &[]), record(2)).unwrap();
        assert!(outbox.is_filled());
        let segment = outbox.take(Segment::default(), false);
        assert_eq!(segment.bytes, b"onethree");
        assert_eq!(segment.records.iter().map(|r| r.end).collect::<Vec<_>>(), [3, 8]);
        assert!(!outbox.is_filled());
        assert!(outbox.take(segment, false).is_empty(), "a spare comes back as it was given");
    }

    #[test]
    fn full_refuses_and_a_lone_giant_passes() {
        let outbox = outbox(4);
        outbox.push(&rendered(b"giant", &[]), record(1)).unwrap();
        assert!(matches!(outbox.push(&rendered(b"x", &[]), record(2)), Err(Refused::Full)));
        outbox.take(Segment::default(), true);
        assert!(matches!(outbox.push(&rendered(b"x", &[]), record(2)), Err(Refused::Full)));
        assert_eq!(outbox.bytes(), 5, "what was sent and is unconfirmed");
        let ticket = outbox.wait_for_room(Instant::now() + std::time::Duration::from_secs(9));
        outbox.release(5);
        assert_eq!(ticket.wait(), Ok(()));
        outbox.push(&rendered(b"x", &[]), record(2)).unwrap();
    }

    #[test]
    fn a_withdrawn_publication_does_not_leave() {
        let outbox = outbox(100);
        let body = [(2, Bytes::from_static(b"BODY"))];
        outbox.push(&rendered(b"aa", &[]), record(1)).unwrap();
        outbox.push(&rendered(b"bbb", &[]), record(2)).unwrap();
        outbox.push(&rendered(b"cccc", &body), record(3)).unwrap();
        assert!(matches!(outbox.withdraw(2), Withdrawn::Unsent));
        assert!(matches!(outbox.withdraw(2), Withdrawn::No), "once");
        let segment = outbox.take(Segment::default(), true);
        assert_eq!(segment.bytes, b"aacccc");
        assert_eq!(segment.parts[0].at, 4);
        assert_eq!(segment.size(), 10);
        assert!(matches!(outbox.withdraw(1), Withdrawn::No), "it has left");
        outbox.push(&rendered(&[0; 90], &[]), record(4)).unwrap();
        let full = outbox.push(&rendered(b"x", &[]), record(5));
        assert!(matches!(full, Err(Refused::Full)), "what left counts: 10 of 100 bytes");
    }

    #[test]
    fn what_is_sent_again_leaves_first_and_counts() {
        let outbox = outbox(10);
        outbox.push(&rendered(b"first", &[]), record(1)).unwrap();
        let lost = outbox.take(Segment::default(), true);
        outbox.push(&rendered(b"new", &[]), record(2)).unwrap();
        outbox.send_again(lost);
        outbox.release(5);
        let full = outbox.push(&rendered(b"xyz", &[]), record(3));
        assert!(matches!(full, Err(Refused::Full)), "8 of 10 bytes");
        let segment = outbox.take(Segment::default(), true);
        assert_eq!(segment.bytes, b"first");
        // Lost once more: older than what waits, and withdrawn meanwhile.
        outbox.send_again(segment);
        outbox.release(5);
        assert!(matches!(outbox.withdraw(1), Withdrawn::No), "it may have been sent");
        assert!(outbox.is_filled());
        assert!(outbox.take(Segment::default(), true).is_empty());
        assert!(outbox.is_filled());
        assert_eq!(outbox.take(Segment::default(), true).bytes, b"new");
        assert!(!outbox.is_filled());
        outbox.push(&rendered(b"7 bytes", &[]), record(4)).unwrap();
    }

    #[test]
    fn a_closed_outbox_says_why() {
        let outbox = outbox(100);
        outbox.push(&rendered(b"left", &[]), record(1)).unwrap();
        outbox.refuse(Error::stopped());
        assert!(matches!(outbox.push(&rendered(b"x", &[]), record(2)), Err(Refused::Closed(_))));
        assert_eq!(outbox.close(Error::stopped()).unsent.bytes, b"left");
        let refused = outbox.push(&rendered(b"x", &[]), record(2));
        assert!(matches!(refused, Err(Refused::Closed(_))));
    }

    #[test]
    fn a_body_cut_for_larger_frames_is_rendered_again() {
        let outbox = outbox(100);
        let large = Rendered { frame_max: 131_072, ..rendered(b"x", &[]) };
        assert!(matches!(outbox.push(&large, record(1)), Err(Refused::FrameMax)));
        outbox.open(1, 131_072);
        outbox.push(&large, record(1)).unwrap();
    }
}
