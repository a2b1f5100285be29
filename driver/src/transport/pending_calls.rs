//! Finds the caller of each reply: places for calls under way, and the sink of the reply queue.
//!
//! The sink runs on the shard: it peeks the id at the end of a body, turns it back into a place and
//! leaves the undecoded reply there. What it cannot read at a glance is decoded by one reply
//! thread. The peek only selects; a caller whose own decode disagrees puts the reply aside and
//! waits on, in a new place that the old id leads to. A request that may be repeated has a place of
//! its own for its refusal, so that the reply to an earlier attempt always finds the caller.
//! Invariant: a call that ended, however, holds no place. Not here: what a reply says (`call`).

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use leveret_engine::{
    Body, Delivery, DeliverySink, Disposition, Engine, Outcome, RefusalSink, Ticket, TicketError,
    Tickets,
};

use crate::dialect::{Peek, kombu};
use crate::ids::{Hex32, IdSource};
use crate::runtime::executor::Workers;
use crate::runtime::timer;
use crate::transport::incoming;
use crate::transport::intake_limit::WAITING_BYTES_MAX;

/// Replies that may wait for the reply thread, and their bytes; more are dropped, and their calls
/// time out.
const UNSURE_MAX: usize = 4096;
const UNSURE_BYTES_MAX: usize = WAITING_BYTES_MAX;

/// What ends a wait for a reply.
#[derive(Debug)]
pub(crate) enum Arrived {
    /// A reply, not yet decoded.
    Reply(Delivery),
    /// The request itself was refused.
    Refused(Outcome),
    /// A reply of so many bytes, more than are taken; it was dropped.
    Oversized(u64),
}

/// The calls under way of one transport.
pub(crate) struct PendingCalls {
    ids: Arc<IdSource>,
    places: Arc<Tickets<Arrived>>,
    /// Of the requests that their callers may repeat.
    refusals: Arc<Tickets<Outcome>>,
    /// Calls that want signs of life, and calls that moved to another place: rare, so both share a
    /// lock.
    odd: Mutex<MonitoredCalls>,
    odd_count: AtomicUsize,
    /// Bytes that wait for the reply thread.
    unsure_bytes: AtomicUsize,
    late: AtomicU64,
    /// Deliveries of the reply queue, of whatever kind.
    received: AtomicU64,
}

#[derive(Default)]
struct MonitoredCalls {
    monitors: HashMap<u64, Monitor>,
    moved: HashMap<u64, u64>,
}

/// Signs of life a caller wants.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Monitoring {
    /// How long it waits for the next one.
    pub(crate) interval: Duration,
    /// Whether whoever answers surely gives signs; else the wait is for the first one as long as
    /// for the reply.
    pub(crate) is_expected: bool,
}

#[derive(Clone, Copy)]
struct Monitor {
    interval: Duration,
    deadline: Instant,
}

impl PendingCalls {
    pub(crate) fn new(ids: Arc<IdSource>, engine: &Engine) -> Self {
        let (places, refusals) = (engine.tickets(), engine.tickets());
        let (odd, odd_count, unsure_bytes, late, received) = Default::default();
        Self { ids, places, refusals, odd, odd_count, unsure_bytes, late, received }
    }

    /// Who hears of refused requests, those that `may_repeat` or the others.
    pub(crate) fn refusals(self: &Arc<Self>, may_repeat: bool) -> Arc<dyn RefusalSink> {
        match may_repeat {
            true => Arc::new(Refusals(Arc::clone(&self.refusals))),
            false => Arc::clone(self) as _,
        }
    }

    /// Opens a place for a call that ends at `deadline`, or earlier for want of signs of life; and
    /// another one for the refusal of a request that `may_repeat`.
    pub(crate) fn open(
        self: &Arc<Self>,
        deadline: Instant,
        monitor: Option<Monitoring>,
        may_repeat: bool,
    ) -> Pending {
        let ticket = self.places.open(Some(first_sign(deadline, monitor)));
        let refusal = may_repeat.then(|| self.refusals.open(None));
        let place = ticket.token();
        if let Some(Monitoring { interval, .. }) = monitor {
            self.change_odd(|odd| {
                odd.monitors.insert(place, Monitor { interval, deadline });
            });
        }
        Pending { book: Arc::clone(self), place, ticket, refusal, deadline, monitor }
    }

    /// Calls that wait, or hold an answer not yet taken.
    pub(crate) fn outstanding(&self) -> usize {
        self.places.outstanding()
    }

    /// Replies nobody waited for.
    pub(crate) fn late(&self) -> u64 {
        self.late.load(Ordering::Relaxed)
    }

    /// Deliveries of the reply queue so far.
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
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
        self.unsure_bytes.fetch_sub(delivery.body().len(), Ordering::Relaxed);
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

    fn odd<T>(&self, look: impl FnOnce(&mut MonitoredCalls) -> Option<T>) -> Option<T> {
        if self.odd_count.load(Ordering::Acquire) == 0 {
            return None;
        }
        look(&mut self.lock())
    }

    fn change_odd(&self, change: impl FnOnce(&mut MonitoredCalls)) {
        let mut odd = self.lock();
        change(&mut odd);
        self.odd_count.store(odd.monitors.len() + odd.moved.len(), Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, MonitoredCalls> {
        self.odd.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When a call ends unless a sign of life comes first.
fn first_sign(deadline: Instant, monitor: Option<Monitoring>) -> Instant {
    match monitor {
        Some(Monitoring { interval, is_expected: true }) => {
            deadline.min(timer::deadline_in(interval))
        }
        _ => deadline,
    }
}

/// A refused request that is not repeated ends the wait in its place at once.
impl RefusalSink for PendingCalls {
    fn refused(&self, place: u64, outcome: Outcome) {
        self.complete(place, Arrived::Refused(outcome));
    }
}

/// A refused request that may be repeated leaves the wait for a reply as it is.
struct Refusals(Arc<Tickets<Outcome>>);

impl RefusalSink for Refusals {
    fn refused(&self, place: u64, outcome: Outcome) {
        // Nobody waits for it any more once the call has ended.
        let _ = self.0.complete(place, outcome);
    }
}

/// A call under way. Dropping it gives its place back; a reply that comes later is dropped and
/// counted.
pub(crate) struct Pending {
    book: Arc<PendingCalls>,
    place: u64,
    ticket: Ticket<Arrived>,
    /// For a refusal of the request, where it may be repeated.
    refusal: Option<Ticket<Outcome>>,
    deadline: Instant,
    monitor: Option<Monitoring>,
}

impl Pending {
    /// Where a refusal of the request is to be left.
    pub(crate) fn refusal_place(&self) -> u64 {
        self.refusal.as_ref().map_or(self.place, Ticket::token)
    }

    /// The id that leads a reply here.
    pub(crate) fn msg_id(&self) -> Hex32 {
        self.book.ids.call_id(self.place)
    }

    /// Waits for what ends the call or its present attempt; a reply goes first.
    pub(crate) fn arrived(&mut self) -> impl Future<Output = Result<Arrived, TicketError>> {
        std::future::poll_fn(|cx| {
            let reply = Pin::new(&mut self.ticket).poll(cx);
            let Some(refusal) = self.refusal.as_mut().filter(|_| reply.is_pending()) else {
                return reply;
            };
            let refused = std::task::ready!(Pin::new(refusal).poll(cx));
            // It has been answered, and must not be asked again.
            self.refusal = None;
            Poll::Ready(refused.map(Arrived::Refused))
        })
    }

    /// The reply that arrived was somebody else's: waits on.
    pub(crate) fn wait_on(&mut self) {
        self.book.late.fetch_add(1, Ordering::Relaxed);
        // In a new place that the old id leads to.
        let first = first_sign(self.deadline, self.monitor);
        self.ticket = self.book.places.open(Some(first));
        let (from, to) = (self.place, self.ticket.token());
        self.book.change_odd(|odd| {
            odd.moved.insert(from, to);
        });
    }

    /// The request is about to be made again: signs of life are waited for anew.
    pub(crate) fn repeat(&mut self) {
        self.refusal = Some(self.book.refusals.open(None));
        if self.monitor.is_some_and(|monitoring| monitoring.is_expected) {
            self.book.renew(self.place);
        }
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
    book: Arc<PendingCalls>,
    unsure: Workers<Delivery>,
    /// Replies may name their call among the properties.
    reads_pika: bool,
    on_end: Box<dyn Fn(Option<leveret_engine::Error>) + Send>,
}

impl ReplySink {
    /// A sink for the callers in `book`, who may ask in the `pika` dialect; `on_end` hears when no
    /// reply can come any more.
    pub(crate) fn new(
        book: &Arc<PendingCalls>,
        reads_pika: bool,
        on_end: impl Fn(Option<leveret_engine::Error>) + Send + 'static,
    ) -> Self {
        let reader = Arc::clone(book);
        let unsure = Workers::new(1, move |delivery| reader.deliver_unsure(delivery));
        Self { book: Arc::clone(book), unsure, reads_pika, on_end: Box::new(on_end) }
    }
}

impl DeliverySink for ReplySink {
    fn deliver(&mut self, delivery: Delivery) -> Disposition {
        // Written by the shard alone.
        self.book.received.store(self.book.received() + 1, Ordering::Relaxed);
        match self.peek(&delivery) {
            Peek::Reply(msg_id) => self.book.deliver(&msg_id, delivery),
            Peek::Heartbeat(msg_id) => self.book.deliver_heartbeat(&msg_id),
            Peek::Unsure => self.hand_over(delivery),
        }
        // One that comes again finds nobody who waits for it.
        Disposition::AckSoon
    }

    fn oversized(&mut self, delivery: Delivery, size: u64) {
        let place = match self.peek(&delivery) {
            Peek::Reply(msg_id) => self.book.ids.place_of(&msg_id),
            Peek::Heartbeat(_) | Peek::Unsure => None,
        };
        match place {
            Some(place) => self.book.complete(place, Arrived::Oversized(size)),
            None => drop(self.book.late.fetch_add(1, Ordering::Relaxed)),
        }
    }

    fn ended(&mut self, error: Option<leveret_engine::Error>) {
        (self.on_end)(error);
    }
}

impl ReplySink {
    /// Leaves a reply to the reply thread, if there is room.
    fn hand_over(&self, delivery: Delivery) {
        let (bytes, waiting) = (delivery.body().len(), &self.book.unsure_bytes);
        let is_full = self.unsure.waiting() >= UNSURE_MAX
            || waiting.load(Ordering::Relaxed) >= UNSURE_BYTES_MAX;
        if is_full {
            self.book.late.fetch_add(1, Ordering::Relaxed);
            return;
        }
        waiting.fetch_add(bytes, Ordering::Relaxed);
        self.unsure.hand_over(&mut vec![delivery]);
    }

    fn peek(&self, delivery: &Delivery) -> Peek {
        if self.reads_pika
            && let Some(id) = delivery.properties().correlation_id
        {
            return Hex32::from_digits(id.as_bytes()).map_or(Peek::Unsure, Peek::Reply);
        }
        peek(delivery.body())
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
    let read = incoming::with_reply(delivery, &[], |reply| {
        let msg_id = Hex32::from_digits(reply.msg_id.as_deref()?.as_bytes())?;
        let says_nothing = reply.result.is_none() && reply.failure.is_none() && !reply.ending;
        Some(if says_nothing { Peek::Heartbeat(msg_id) } else { Peek::Reply(msg_id) })
    });
    read.unwrap_or_else(|error| {
        if error.is_over_budget() {
            // Its caller is told why.
            return incoming::call_of(delivery).map(Peek::Reply);
        }
        tracing::warn!(
            name: "leveret.reply.undecodable",
            %error,
            "a reply cannot be read and is dropped"
        );
        None
    })
}

#[cfg(test)]
mod tests {
    use leveret_engine::{EngineConfig, block_on};

    use super::*;

    #[test]
    fn a_repeated_request_is_waited_for_by_its_monitor() {
        let engine = Engine::start(EngineConfig::default()).unwrap();
        let book = Arc::new(PendingCalls::new(Arc::new(IdSource::new().unwrap()), &engine));
        let deadline = timer::deadline_in(Duration::from_secs(3600));
        let interval = Duration::from_millis(20);
        let monitoring = Monitoring { interval, is_expected: true };
        let mut pending = book.open(deadline, Some(monitoring), true);
        pending.repeat();
        assert!(matches!(block_on(pending.arrived()), Err(TicketError::TimedOut)));
        pending = book.open(deadline, None, true);
        for _ in 0..2 {
            book.refusals(true).refused(pending.refusal_place(), Outcome::Nacked(None));
            let refused = block_on(pending.arrived());
            assert!(matches!(refused, Ok(Arrived::Refused(Outcome::Nacked(None)))), "{refused:?}");
            pending.repeat();
        }
        drop(pending);
        assert_eq!((book.outstanding(), book.refusals.outstanding()), (0, 0));
    }
}
