//! The road down: one outbox per channel, filled by callers and swapped out whole by the shard.
//!
//! The lock covers room, one copy, one record: a body that exists is framed in place, what user
//! code writes is rendered by its caller before. Invariants: bytes and records describe the same
//! publications in the same order; no user code runs under the lock; whoever makes an outbox
//! non-empty rings the bell; while publications wait for room, none passes them. Not here: who
//! waits for room (`room`), delivery tags, counted when a segment is sent.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::error::Error;
use crate::outcome::Nacked;
use crate::proto::Record;
use crate::reactor;
use crate::shard::border::doorbell::Doorbell;
use crate::shard::border::reframe::{reframe, unframe};
use crate::shard::border::room::{RoomQueue, fits};
use crate::shard::border::segment::{Rendered, Segment};
use crate::shard::border::slab::{TicketError, Token};
use crate::shard::border::tickets::Tickets;
use crate::wire::{FRAME_OVERHEAD, Ids, Template};

/// What an outbox held when it was closed.
#[derive(Debug, Default)]
pub(crate) struct Remaining {
    pub(crate) unsent: Segment,
    pub(crate) resend: Segment,
    pub(crate) delayed: Vec<Segment>,
}

/// Why a publication was not taken.
#[derive(Debug)]
pub(crate) enum PushError {
    /// There is no room for `bytes` now, or others wait for room.
    Full {
        bytes: usize,
    },
    /// The connection now allows smaller frames only; render again.
    FrameMax,
    Closed(Error),
}

#[derive(Debug)]
pub(crate) struct Outbox {
    inner: Mutex<Inner>,
    bell: Arc<Doorbell>,
    filled: AtomicBool,
    /// Publications wait for room; changes under the lock.
    contended: AtomicBool,
    frame_max: AtomicU32,
    /// Bytes that were taken and are kept until confirmed.
    unconfirmed_bytes: AtomicUsize,
    /// How many publications leave alone.
    suspects: AtomicUsize,
    bytes_max: usize,
    /// Those who wait for room.
    waiters: Arc<Tickets<()>>,
}

/// Room for one publication, granted or still waited for. Dropping it leaves the queue, or gives
/// the room to the next in it.
#[derive(Debug)]
pub(crate) struct Permit<'a> {
    outbox: &'a Outbox,
    number: u64,
    /// 0 when it was used.
    bytes: usize,
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
    /// PushError by the broker, to be sent again later.
    delayed: Vec<Delayed>,
    room: RoomQueue,
    closed: Option<Error>,
}

/// A refused publication, and when it is to be sent again.
#[derive(Debug)]
pub(crate) struct Delayed {
    pub(crate) publication: Segment,
    pub(crate) due: Instant,
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

    /// The frame size callers cut bodies for.
    pub(crate) fn frame_max(&self) -> u32 {
        self.frame_max.load(Ordering::Acquire)
    }

    /// Takes in a publication its caller has rendered, or says why not. Uses up the `permit`.
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
        inner.segment.push(publication, record);
        self.finish_push(inner, permit);
        Ok(())
    }

    /// Takes in a small body that exists, framed on the spot, or says why not. Uses up the
    /// `permit`.
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
        inner.segment.push_body(template, body, ids, self.frame_max(), record);
        self.finish_push(inner, permit);
        Ok(())
    }

    #[inline]
    fn has_room(&self, inner: &Inner, bytes: usize, permit: &Option<Permit<'_>>) -> bool {
        let granted = permit.as_ref().map_or(0, |permit| permit.bytes);
        if inner.closed.is_some() || (granted == 0 && inner.room.is_contended()) {
            return false;
        }
        // A body that is written anew after a wait may have grown.
        bytes <= granted
            || fits(self.in_use(inner) + inner.room.reserved() - granted, bytes, self.bytes_max)
    }

    /// Bytes of publications that wait, and of those sent and unconfirmed.
    #[inline]
    fn in_use(&self, inner: &Inner) -> usize {
        inner.size() + self.unconfirmed_bytes.load(Ordering::Relaxed)
    }

    /// A publication was added.
    #[inline]
    fn finish_push(&self, mut inner: MutexGuard<'_, Inner>, permit: &mut Option<Permit<'_>>) {
        if let Some(permit) = permit {
            inner.room.used(std::mem::take(&mut permit.bytes));
        }
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

    /// True while publications wait for room: a newcomer has to wait as well.
    pub(crate) fn is_contended(&self) -> bool {
        self.contended.load(Ordering::Relaxed)
    }

    /// Waits for room for `bytes`, behind those who wait already. A closed outbox grants it to
    /// everyone, and says why it is closed when something is pushed.
    pub(crate) async fn acquire(
        &self,
        bytes: usize,
        deadline: Instant,
    ) -> Result<Permit<'_>, TicketError> {
        let ticket = self.waiters.open(Some(deadline));
        // Given back whenever this future ends without it.
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

    /// Takes back a publication that waits here. One that may have been sent before, on a
    /// connection that was lost, is not sent again.
    pub(crate) fn withdraw(&self, token: Token) -> Withdrawn {
        let mut inner = self.lock();
        if inner.segment.mark_settled(token) {
            inner.withdrawn += 1;
            return Withdrawn::Unsent;
        }
        if inner.resend.mark_settled(token) {
            inner.resend_withdrawn += 1;
            return Withdrawn::No;
        }
        inner.suspects.retain(|one| one.records[0].token != token);
        self.suspects.store(inner.suspects.len(), Ordering::Release);
        let is_it = |one: &Delayed| one.publication.records[0].token == token;
        let index = inner.delayed.iter().position(is_it);
        let delayed = index.map(|index| inner.delayed.swap_remove(index));
        // What it counted is free.
        self.grant(inner);
        let Some(Delayed { publication, .. }) = delayed else { return Withdrawn::No };
        Withdrawn::Nacked(Box::new(unframe(&publication, 0..publication.records[0].end)))
    }

    /// A refused publication: it waits here until it is [due](Self::release_due).
    pub(crate) fn hold_until(&self, publication: Segment, due: Instant) {
        self.lock().delayed.push(Delayed { publication, due });
    }

    /// Lets refused publications leave again whose time has come; when the next one's does.
    pub(crate) fn release_due(&self, now: Instant) -> Option<Instant> {
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
    pub(crate) fn send_alone(&self, suspects: Vec<Segment>) {
        if suspects.is_empty() {
            return;
        }
        let mut inner = self.lock();
        inner.suspects.extend(suspects);
        self.suspects.store(inner.suspects.len(), Ordering::Release);
        self.filled.store(!inner.is_empty(), Ordering::Release);
    }

    /// Whether the next publication is to leave alone.
    pub(crate) fn has_suspects(&self) -> bool {
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
        self.in_use(&self.lock())
    }

    pub(crate) fn is_filled(&self) -> bool {
        self.filled.load(Ordering::Acquire)
    }

    /// Swaps the publications that leave next for an empty segment. With `hold` they count until
    /// they are released. The shard's half.
    pub(crate) fn take(&self, spare: Segment, has_confirms: bool) -> Segment {
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
        if has_confirms {
            // Under the lock, or there would seem to be room meanwhile.
            self.unconfirmed_bytes.fetch_add(segment.size(), Ordering::Relaxed);
        }
        self.filled.store(!inner.is_empty(), Ordering::Release);
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

    /// Bytes are kept no longer.
    pub(crate) fn release(&self, bytes: usize) {
        let unconfirmed = self.unconfirmed_bytes.fetch_sub(bytes, Ordering::Relaxed) - bytes;
        if self.may_grant(unconfirmed) {
            self.announce_room();
        }
    }

    /// Nothing is granted while more than half of the budget waits for confirms. A grant for every
    /// confirm would wake publishers one at a time, each of which publishes one message and sleeps
    /// again.
    fn may_grant(&self, unconfirmed: usize) -> bool {
        unconfirmed <= self.bytes_max / 2
    }

    /// Grants room that has become free.
    pub(crate) fn announce_room(&self) {
        self.grant(self.lock());
    }

    /// Grants free room to the first who wait and wakes them; everyone, once the outbox is closed.
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

    /// Whether nothing is taken any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed.is_some()
    }

    /// Nothing is taken any more; what waits may still leave.
    pub(crate) fn stop_accepting(&self, error: Error) {
        self.lock().closed.get_or_insert(error);
        self.announce_room();
    }

    /// Nothing is taken any more; what still waits is given back: what never left, what was to
    /// leave again, and what the broker had refused.
    pub(crate) fn close(&self, error: Error) -> Remaining {
        let mut inner = self.lock();
        inner.closed.get_or_insert(error);
        let mut resend = std::mem::take(&mut inner.resend);
        for suspect in inner.suspects.drain(..) {
            resend.append(&suspect);
        }
        let delayed = inner.delayed.drain(..).map(|one| one.publication).collect();
        let left = Remaining { unsent: std::mem::take(&mut inner.segment), resend, delayed };
        self.filled.store(false, Ordering::Release);
        drop(inner);
        self.announce_room();
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

/// When a wait that starts now and may last `timeout` ends: in 34 years at the latest, which clocks
/// and timers can count.
pub(crate) fn deadline_in(timeout: std::time::Duration) -> Instant {
    const FOR_EVER: std::time::Duration = std::time::Duration::from_secs(1 << 30);
    reactor::wall() + timeout.min(FOR_EVER)
}

#[cfg(test)]
mod tests {
    use std::pin::{Pin, pin};
    use std::task::{Context, Poll, Waker};
    use std::time::Duration;

    use bytes::Bytes;

    use super::*;
    use crate::shard::border::block_on::block_on;
    use crate::shard::clock::{Clock, Expires};

    const WAIT: Duration = Duration::from_secs(9);

    #[test]
    fn no_timeout_is_too_long_to_be_counted() {
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
        outbox.push(&rendered(b"one", &[]), record(1), &mut None).unwrap();
        outbox.push(&rendered(b"three", &[]), record(2), &mut None).unwrap();
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
        outbox.push(&rendered(b"giant", &[]), record(1), &mut None).unwrap();
        assert!(matches!(
            outbox.push(&rendered(b"x", &[]), record(2), &mut None),
            Err(PushError::Full { .. })
        ));
        outbox.take(Segment::default(), true);
        assert!(matches!(
            outbox.push(&rendered(b"x", &[]), record(2), &mut None),
            Err(PushError::Full { .. })
        ));
        assert_eq!(outbox.bytes(), 5, "what was sent and is unconfirmed");
        let mut waiting = pin!(outbox.acquire(1, deadline_in(WAIT)));
        assert!(poll(waiting.as_mut()).is_pending());
        outbox.release(5);
        let mut permit = Some(block_on(waiting).unwrap());
        outbox.push(&rendered(b"x", &[]), record(2), &mut permit).unwrap();
    }

    type Waiting<'a> = Pin<Box<dyn Future<Output = Result<Permit<'a>, TicketError>> + 'a>>;

    /// Waits for room, in the queue already.
    fn wait(outbox: &Outbox, bytes: usize) -> Waiting<'_> {
        let mut waiting: Waiting<'_> = Box::pin(outbox.acquire(bytes, deadline_in(WAIT)));
        assert!(poll(waiting.as_mut()).is_pending());
        waiting
    }

    fn poll<T>(future: Pin<&mut (impl Future<Output = T> + ?Sized)>) -> Poll<T> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    fn granted<'a>(waiting: &mut Waiting<'a>) -> Option<Permit<'a>> {
        match poll(waiting.as_mut()) {
            Poll::Ready(permit) => Some(permit.unwrap()),
            Poll::Pending => None,
        }
    }

    /// An outbox of 100 bytes, all of them sent and unconfirmed.
    fn full() -> Outbox {
        let outbox = outbox(100);
        outbox.push(&rendered(&[0; 100], &[]), record(1), &mut None).unwrap();
        outbox.take(Segment::default(), true);
        outbox
    }

    fn is_full(outbox: &Outbox) -> bool {
        let refused = outbox.push(&rendered(b"x", &[]), record(9), &mut None);
        matches!(refused, Err(PushError::Full { bytes: 1 }))
    }

    #[test]
    fn free_room_goes_to_the_first_who_wait_and_to_no_newcomer() {
        let outbox = full();
        let mut waiting: Vec<_> = (0..4).map(|_| wait(&outbox, 40)).collect();
        outbox.release(40);
        assert!(waiting.iter_mut().all(|one| granted(one).is_none()), "half is not free yet");
        assert!(is_full(&outbox), "others wait");
        outbox.release(45);
        let mut permits: Vec<_> = waiting.iter_mut().take(2).map(granted).collect();
        assert!(permits.iter().all(Option::is_some));
        assert!(granted(&mut waiting[2]).is_none(), "two fit into 85 bytes");
        assert!(is_full(&outbox), "what was granted is not taken by others");
        for permit in &mut permits {
            outbox.push(&rendered(&[0; 40], &[]), record(2), permit).unwrap();
        }
        assert_eq!(outbox.bytes(), 95);
        drop(permits);
        outbox.take(Segment::default(), true);
        outbox.release(80);
        assert!(waiting[2..].iter_mut().all(|one| granted(one).is_some()));
        drop(waiting);
        outbox.push(&rendered(&[0; 85], &[]), record(3), &mut None).unwrap();
    }

    #[test]
    fn room_that_is_not_used_goes_to_the_next() {
        let outbox = full();
        let [mut first, second, mut third] = [60, 60, 60].map(|bytes| wait(&outbox, bytes));
        outbox.release(100);
        drop(second);
        let permit = granted(&mut first);
        assert!(permit.is_some() && granted(&mut third).is_none());
        drop(permit);
        let permit = granted(&mut third);
        assert!(permit.is_some());
        let [fourth, mut fifth] = [100, 100].map(|bytes| wait(&outbox, bytes));
        drop(permit);
        // Granted, and not asked for.
        drop(fourth);
        assert!(granted(&mut fifth).is_some());
        drop(fifth);
        assert!(outbox.push(&rendered(&[0; 100], &[]), record(2), &mut None).is_ok());
    }

    #[test]
    fn who_waits_in_vain_holds_up_nobody() {
        let outbox = outbox(100);
        outbox.push(&rendered(&[0; 60], &[]), record(1), &mut None).unwrap();
        outbox.take(Segment::default(), true);
        let mut large = wait(&outbox, 200);
        let mut small = wait(&outbox, 40);
        outbox.release(20);
        assert!(granted(&mut large).is_none() && granted(&mut small).is_none());
        outbox.waiters.expire(Instant::now() + 2 * WAIT);
        assert!(matches!(poll(large.as_mut()), Poll::Ready(Err(TicketError::TimedOut))));
        assert!(matches!(poll(small.as_mut()), Poll::Ready(Err(TicketError::TimedOut))));
        outbox.push(&rendered(&[0; 60], &[]), record(2), &mut None).unwrap();
    }

    #[test]
    fn a_publication_above_the_budget_waits_until_it_is_alone() {
        let outbox = full();
        let (mut giant, mut small) = (wait(&outbox, 300), wait(&outbox, 1));
        outbox.release(99);
        assert!(granted(&mut giant).is_none() && granted(&mut small).is_none());
        outbox.release(1);
        let mut permit = granted(&mut giant);
        assert!(granted(&mut small).is_none());
        outbox.push(&rendered(&[0; 300], &[]), record(2), &mut permit).unwrap();
        outbox.take(Segment::default(), true);
        outbox.release(300);
        assert!(granted(&mut small).is_some());
    }

    #[test]
    fn a_body_that_has_grown_needs_more_than_it_was_granted() {
        let outbox = full();
        let mut waiting = wait(&outbox, 10);
        outbox.release(100);
        let mut permit = granted(&mut waiting);
        outbox.push(&rendered(&[0; 90], &[]), record(2), &mut None).unwrap();
        let grown = outbox.push(&rendered(&[0; 11], &[]), record(3), &mut permit);
        assert!(matches!(grown, Err(PushError::Full { bytes: 11 })));
        outbox.push(&rendered(&[0; 4], &[]), record(3), &mut permit).unwrap();
        outbox.push(&rendered(&[0; 6], &[]), record(4), &mut permit).unwrap();
        assert!(is_full(&outbox));
    }

    #[test]
    fn the_end_of_an_outbox_ends_every_wait() {
        for end in [Outbox::stop_accepting, |outbox: &Outbox, error| drop(outbox.close(error))] {
            let outbox = full();
            let mut waiting: Vec<_> = (0..3).map(|_| wait(&outbox, 60)).collect();
            end(&outbox, Error::stopped());
            for one in &mut waiting {
                let refused = outbox.push(&rendered(b"x", &[]), record(2), &mut granted(one));
                assert!(matches!(refused, Err(PushError::Closed(_))));
            }
            assert!(block_on(outbox.acquire(60, deadline_in(WAIT))).is_ok(), "also later ones");
        }
    }

    #[test]
    fn a_withdrawn_publication_does_not_leave() {
        let outbox = outbox(100);
        let body = [(2, Bytes::from_static(b"BODY"))];
        outbox.push(&rendered(b"aa", &[]), record(1), &mut None).unwrap();
        outbox.push(&rendered(b"bbb", &[]), record(2), &mut None).unwrap();
        outbox.push(&rendered(b"cccc", &body), record(3), &mut None).unwrap();
        assert!(matches!(outbox.withdraw(2), Withdrawn::Unsent));
        assert!(matches!(outbox.withdraw(2), Withdrawn::No), "once");
        let segment = outbox.take(Segment::default(), true);
        assert_eq!(segment.bytes, b"aacccc");
        assert_eq!(segment.parts[0].at, 4);
        assert_eq!(segment.size(), 10);
        assert!(matches!(outbox.withdraw(1), Withdrawn::No), "it has left");
        outbox.push(&rendered(&[0; 90], &[]), record(4), &mut None).unwrap();
        let full = outbox.push(&rendered(b"x", &[]), record(5), &mut None);
        assert!(matches!(full, Err(PushError::Full { .. })), "what left counts: 10 of 100 bytes");
    }

    #[test]
    fn what_is_sent_again_leaves_first_and_counts() {
        let outbox = outbox(10);
        outbox.push(&rendered(b"first", &[]), record(1), &mut None).unwrap();
        let lost = outbox.take(Segment::default(), true);
        outbox.push(&rendered(b"new", &[]), record(2), &mut None).unwrap();
        outbox.send_again(lost);
        outbox.release(5);
        let full = outbox.push(&rendered(b"xyz", &[]), record(3), &mut None);
        assert!(matches!(full, Err(PushError::Full { .. })), "8 of 10 bytes");
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
        outbox.push(&rendered(b"7 bytes", &[]), record(4), &mut None).unwrap();
    }

    #[test]
    fn a_closed_outbox_says_why() {
        let outbox = outbox(100);
        outbox.push(&rendered(b"left", &[]), record(1), &mut None).unwrap();
        outbox.stop_accepting(Error::stopped());
        assert!(matches!(
            outbox.push(&rendered(b"x", &[]), record(2), &mut None),
            Err(PushError::Closed(_))
        ));
        assert_eq!(outbox.close(Error::stopped()).unsent.bytes, b"left");
        let refused = outbox.push(&rendered(b"x", &[]), record(2), &mut None);
        assert!(matches!(refused, Err(PushError::Closed(_))));
    }

    #[test]
    fn a_body_cut_for_larger_frames_is_rendered_again() {
        let outbox = outbox(100);
        let large = Rendered { frame_max: 131_072, ..rendered(b"x", &[]) };
        assert!(matches!(outbox.push(&large, record(1), &mut None), Err(PushError::FrameMax)));
        outbox.open(1, 131_072);
        outbox.push(&large, record(1), &mut None).unwrap();
    }
}
