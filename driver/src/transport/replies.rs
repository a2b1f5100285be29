//! Finds the caller of each reply: places for calls under way, and the sink of the reply queue.
//!
//! The sink runs on the shard: it peeks the id at the end of a body, turns it back into a place and
//! leaves the undecoded reply there. What it cannot read at a glance is decoded by one reply
//! thread. The peek only selects; a caller whose own decode disagrees puts the reply aside and
//! waits on, in a new place that the old id leads to. Invariant: a call that ended, however, holds
//! no place. Not here: what a reply says (`call`).

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use leveret_engine::{
    Body, Delivery, DeliverySink, Disposition, Outcome, RefusalSink, Ticket, TicketError, Tickets,
};

use crate::broker;
use crate::dialect::{Peek, kombu};
use crate::executor::Workers;
use crate::ids::{Hex32, IdSource};
use crate::timer;

/// Replies that may wait for the reply thread; more are dropped, and their calls time out.
const UNSURE_MAX: usize = 4096;

/// What ends a wait for a reply.
#[derive(Debug)]
pub(crate) enum Arrived {
    /// A reply, not yet decoded.
    Reply(Delivery),
    /// The request itself was refused.
    Refused(Outcome),
}

/// The calls under way of one transport.
pub(crate) struct ReplyBook {
    ids: Arc<IdSource>,
    places: Arc<Tickets<Arrived>>,
    /// Calls that want signs of life, and calls that moved to another place: rare, so both share a
    /// lock.
    odd: Mutex<Odd>,
    odd_count: AtomicUsize,
    late: AtomicU64,
}

#[derive(Default)]
struct Odd {
    monitors: HashMap<u64, Monitor>,
    moved: HashMap<u64, u64>,
}

#[derive(Clone, Copy)]
struct Monitor {
    interval: Duration,
    deadline: Instant,
}

impl ReplyBook {
    pub(crate) fn new(ids: Arc<IdSource>, places: Arc<Tickets<Arrived>>) -> Self {
        let (odd_count, late) = (AtomicUsize::new(0), AtomicU64::new(0));
        Self { ids, places, odd: Mutex::default(), odd_count, late }
    }

    /// Opens a place for a call that ends at `deadline`, or earlier for want of signs of life.
    pub(crate) fn open(self: &Arc<Self>, deadline: Instant, monitor: Option<Duration>) -> Pending {
        let first = monitor.map_or(deadline, |interval| deadline.min(timer::deadline_in(interval)));
        let ticket = self.places.open(Some(first));
        let place = ticket.token();
        if let Some(interval) = monitor {
            self.change_odd(|odd| {
                odd.monitors.insert(place, Monitor { interval, deadline });
            });
        }
        Pending { book: Arc::clone(self), place, ticket, deadline }
    }

    /// Calls that wait, or hold an answer not yet taken.
    pub(crate) fn outstanding(&self) -> usize {
        self.places.outstanding()
    }

    /// Replies nobody waited for.
    pub(crate) fn late(&self) -> u64 {
        self.late.load(Ordering::Relaxed)
    }

    fn complete(&self, place: u64, arrived: Arrived) {
        let Err(arrived) = self.places.complete(place, arrived) else { return };
        let moved = self.odd(|odd| odd.moved.get(&place).copied());
        let left = match moved {
            Some(place) => self.places.complete(place, arrived).err(),
            None => Some(arrived),
        };
        if matches!(left, Some(Arrived::Reply(_))) {
            self.late.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A sign of life renews the wait for the next one, never the call's own deadline.
    fn renew(&self, place: u64) {
        if let Some(Monitor { interval, deadline }) =
            self.odd(|odd| odd.monitors.get(&place).copied())
        {
            let place = self.odd(|odd| odd.moved.get(&place).copied()).unwrap_or(place);
            self.places.extend(place, deadline.min(timer::deadline_in(interval)));
        }
    }

    /// Leaves a reply to whom `msg_id` names.
    fn deliver(&self, msg_id: &Hex32, delivery: Delivery) {
        match self.ids.place_of(msg_id) {
            Some(place) => self.complete(place, Arrived::Reply(delivery)),
            None => drop(self.late.fetch_add(1, Ordering::Relaxed)),
        }
    }

    /// Decodes a reply of unusual spelling to learn whose it is. Runs on the reply thread.
    fn deliver_unsure(&self, delivery: Delivery) {
        match read_id(&delivery) {
            Some(Peek::Reply(msg_id)) => self.deliver(&msg_id, delivery),
            Some(Peek::Heartbeat(msg_id)) => self.deliver_heartbeat(&msg_id),
            Some(Peek::Unsure) | None => drop(self.late.fetch_add(1, Ordering::Relaxed)),
        }
    }

    fn deliver_heartbeat(&self, msg_id: &Hex32) {
        if let Some(place) = self.ids.place_of(msg_id) {
            self.renew(place);
        }
    }

    fn odd<T>(&self, look: impl FnOnce(&mut Odd) -> Option<T>) -> Option<T> {
        if self.odd_count.load(Ordering::Acquire) == 0 {
            return None;
        }
        look(&mut self.lock())
    }

    fn change_odd(&self, change: impl FnOnce(&mut Odd)) {
        let mut odd = self.lock();
        change(&mut odd);
        self.odd_count.store(odd.monitors.len() + odd.moved.len(), Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, Odd> {
        self.odd.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A refused request ends the wait in its place at once.
impl RefusalSink for ReplyBook {
    fn refused(&self, place: u64, outcome: Outcome) {
        self.complete(place, Arrived::Refused(outcome));
    }
}

/// A call under way. Dropping it gives its place back; a reply that comes later is dropped and
/// counted.
pub(crate) struct Pending {
    book: Arc<ReplyBook>,
    place: u64,
    ticket: Ticket<Arrived>,
    deadline: Instant,
}

impl Pending {
    /// Where a refusal of the request is to be left.
    pub(crate) fn place(&self) -> u64 {
        self.place
    }

    /// The id that leads a reply here.
    pub(crate) fn msg_id(&self) -> Hex32 {
        self.book.ids.call_id(self.place)
    }

    /// Waits for what ends the call.
    pub(crate) async fn arrived(&mut self) -> Result<Arrived, TicketError> {
        (&mut self.ticket).await
    }

    /// The reply that arrived was somebody else's: waits on.
    pub(crate) fn wait_on(&mut self) {
        self.book.late.fetch_add(1, Ordering::Relaxed);
        self.reopen();
    }

    /// What arrived did not end the call: waits on in a new place that the old id leads to.
    pub(crate) fn reopen(&mut self) {
        self.ticket = self.book.places.open(Some(self.deadline));
        let (from, to) = (self.place, self.ticket.token());
        self.book.change_odd(|odd| {
            odd.moved.insert(from, to);
        });
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if self.book.odd_count.load(Ordering::Acquire) > 0 {
            self.book.change_odd(|odd| {
                odd.monitors.remove(&self.place);
                odd.moved.remove(&self.place);
            });
        }
    }
}

/// The sink of the reply queue.
pub(crate) struct ReplySink {
    book: Arc<ReplyBook>,
    unsure: Workers<Delivery>,
    on_end: Box<dyn Fn(Option<leveret_engine::Error>) + Send>,
}

impl ReplySink {
    /// A sink for the callers in `book`; `on_end` hears when no reply can come any more.
    pub(crate) fn new(
        book: &Arc<ReplyBook>,
        on_end: impl Fn(Option<leveret_engine::Error>) + Send + 'static,
    ) -> Self {
        let reader = Arc::clone(book);
        let unsure = Workers::new(1, move |delivery| reader.deliver_unsure(delivery));
        Self { book: Arc::clone(book), unsure, on_end: Box::new(on_end) }
    }
}

impl DeliverySink for ReplySink {
    fn deliver(&mut self, delivery: Delivery) -> Disposition {
        match peek(delivery.body()) {
            Peek::Reply(msg_id) => self.book.deliver(&msg_id, delivery),
            Peek::Heartbeat(msg_id) => self.book.deliver_heartbeat(&msg_id),
            Peek::Unsure if self.unsure.waiting() < UNSURE_MAX => {
                self.unsure.hand_over(&mut vec![delivery]);
            }
            Peek::Unsure => drop(self.book.late.fetch_add(1, Ordering::Relaxed)),
        }
        // One that comes again finds nobody who waits for it.
        Disposition::AckSoon
    }

    fn ended(&mut self, error: Option<leveret_engine::Error>) {
        (self.on_end)(error);
    }
}

/// Peeks at the end of a body, wherever its pieces lie.
fn peek(body: &Body) -> Peek {
    let mut tail = [0; kombu::TAIL_BYTES];
    let mut skip = body.len().saturating_sub(tail.len());
    let mut length = 0;
    for piece in body.pieces() {
        let rest = &piece[skip.min(piece.len())..];
        skip -= piece.len() - rest.len();
        tail[length..length + rest.len()].copy_from_slice(rest);
        length += rest.len();
    }
    kombu::peek_reply(&tail[..length])
}

/// Learns the same as [`peek`] by reading the whole reply, which may be compressed.
fn read_id(delivery: &Delivery) -> Option<Peek> {
    let mut scratch = kombu::Scratch::default();
    let compression = broker::compression(&delivery.properties());
    let text = kombu::unpack(compression, delivery.body().contiguous());
    let text = text.as_deref().map_err(Clone::clone);
    let reply = match text.and_then(|text| kombu::decode_reply(text, &mut scratch)) {
        Ok(reply) => reply,
        Err(error) => {
            tracing::warn!(%error, "a reply cannot be read and is dropped");
            return None;
        }
    };
    let msg_id = Hex32::from_digits(reply.msg_id.as_deref()?.as_bytes())?;
    let says_nothing = reply.result.is_none() && reply.failure.is_none() && !reply.ending;
    Some(if says_nothing { Peek::Heartbeat(msg_id) } else { Peek::Reply(msg_id) })
}
