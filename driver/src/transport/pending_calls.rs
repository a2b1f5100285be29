//! The calls that wait for a reply: a slot for each.
//!
//! The id of a call tells its slot, so the shard completes a slot without a lookup. A request that
//! may be repeated has a slot of its own for its refusal, so that the reply to an earlier attempt
//! always finds the caller. A caller that gets a reply to another call drops it and waits on, in a
//! new slot that the old id leads to. Invariant: a call that has ended holds no slot. Not here:
//! which call a delivery is for (`reply_sink`), what a reply says (`rpc`).

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use leveret_engine::{Delivery, Engine, FailureSink, Outcome, Ticket, TicketError, Tickets};

use crate::message::ids::{Hex32, IdSource};
use crate::runtime::timer;

/// What ends a wait for a reply.
#[derive(Debug)]
pub(crate) enum Arrived {
    /// A reply, not yet decoded.
    Reply(Delivery),
    /// The request itself was not published, or came back.
    PublishFailed(Outcome),
    /// A reply of so many bytes, more than are taken; it was dropped.
    Oversized(u64),
}

/// The calls of one transport that wait for a reply.
pub(crate) struct PendingCalls {
    ids: Arc<IdSource>,
    slots: Arc<Tickets<Arrived>>,
    /// For refusals of requests that their callers may repeat.
    refusals: Arc<Tickets<Outcome>>,
    /// Calls with heartbeats, and calls that moved to another slot: rare, so both share a lock.
    monitored: Mutex<MonitoredCalls>,
    monitored_count: AtomicUsize,
    late: AtomicU64,
    /// Deliveries of the reply queue, of every kind.
    received: AtomicU64,
}

#[derive(Default)]
struct MonitoredCalls {
    monitors: HashMap<u64, Monitor>,
    moved: HashMap<u64, u64>,
}

/// The heartbeats that a caller asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeartbeatWait {
    /// How long it waits for the next one.
    pub(crate) interval: Duration,
    /// Whether the server sends heartbeats for certain; otherwise the caller waits for the first
    /// one as long as for the reply.
    pub(crate) is_expected: bool,
}

#[derive(Clone, Copy)]
struct Monitor {
    interval: Duration,
    deadline: Instant,
}

impl PendingCalls {
    pub(super) fn new(ids: Arc<IdSource>, engine: &Engine) -> Self {
        let (slots, refusals) = (engine.tickets(), engine.tickets());
        let (monitored, monitored_count, late, received) = Default::default();
        Self { ids, slots, refusals, monitored, monitored_count, late, received }
    }

    /// The sink of refused requests, those that `may_repeat` or the others.
    pub(crate) fn failure_sink(self: &Arc<Self>, may_repeat: bool) -> Arc<dyn FailureSink> {
        match may_repeat {
            true => Arc::new(RepeatableRefusals(Arc::clone(&self.refusals))),
            false => Arc::clone(self) as _,
        }
    }

    /// Opens a slot for a call that ends at `deadline`, or earlier when heartbeats stay away; and
    /// another one for the refusal of a request that `may_repeat`.
    pub(crate) fn open(
        self: &Arc<Self>,
        deadline: Instant,
        heartbeats: Option<HeartbeatWait>,
        may_repeat: bool,
    ) -> PendingCall {
        let ticket = self.slots.open(Some(first_deadline(deadline, heartbeats)));
        let refusal = may_repeat.then(|| self.refusals.open(None));
        let slot = ticket.token();
        if let Some(HeartbeatWait { interval, .. }) = heartbeats {
            self.change_monitored(|calls| {
                calls.monitors.insert(slot, Monitor { interval, deadline });
            });
        }
        PendingCall { calls: Arc::clone(self), slot, ticket, refusal, deadline, heartbeats }
    }

    /// Calls that wait, or hold a reply that their caller has not taken yet.
    pub(crate) fn outstanding(&self) -> usize {
        self.slots.outstanding()
    }

    /// Replies that no caller waited for.
    pub(super) fn late(&self) -> u64 {
        self.late.load(Ordering::Relaxed)
    }

    /// Counts a reply that no caller waits for.
    pub(super) fn count_late(&self) {
        self.late.fetch_add(1, Ordering::Relaxed);
    }

    /// Deliveries of the reply queue so far.
    pub(super) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Counts a delivery of the reply queue. The shard of its consumer alone calls this.
    pub(super) fn count_received(&self) {
        self.received.store(self.received() + 1, Ordering::Relaxed);
    }

    /// Gives a reply to the call that `msg_id` names.
    pub(super) fn deliver(&self, msg_id: &Hex32, delivery: Delivery) {
        match self.ids.slot_of(msg_id) {
            Some(slot) => self.complete(slot, Arrived::Reply(delivery)),
            None => self.count_late(),
        }
    }

    /// Tells the call that `msg_id` names of a reply that was too large.
    pub(super) fn deliver_oversized(&self, msg_id: &Hex32, bytes: u64) {
        match self.ids.slot_of(msg_id) {
            Some(slot) => self.complete(slot, Arrived::Oversized(bytes)),
            None => self.count_late(),
        }
    }

    /// A heartbeat renews the wait for the next one, never the call's own deadline.
    pub(super) fn deliver_heartbeat(&self, msg_id: &Hex32) {
        if let Some(slot) = self.ids.slot_of(msg_id) {
            self.renew(slot);
        }
    }

    fn complete(&self, slot: u64, arrived: Arrived) {
        let Err(arrived) = self.slots.complete(slot, arrived) else { return };
        let moved = self.find_monitored(|calls| calls.moved.get(&slot).copied());
        let left = match moved {
            Some(slot) => self.slots.complete(slot, arrived).err(),
            None => Some(arrived),
        };
        if matches!(left, Some(Arrived::Reply(_))) {
            self.count_late();
        }
    }

    fn renew(&self, slot: u64) {
        if let Some(Monitor { interval, deadline }) =
            self.find_monitored(|calls| calls.monitors.get(&slot).copied())
        {
            let moved = self.find_monitored(|calls| calls.moved.get(&slot).copied());
            let next = deadline.min(timer::deadline_in(interval));
            self.slots.extend(moved.unwrap_or(slot), next);
        }
    }

    fn find_monitored<T>(&self, find: impl FnOnce(&mut MonitoredCalls) -> Option<T>) -> Option<T> {
        if self.monitored_count.load(Ordering::Acquire) == 0 {
            return None;
        }
        find(&mut self.lock())
    }

    fn change_monitored(&self, change: impl FnOnce(&mut MonitoredCalls)) {
        let mut calls = self.lock();
        change(&mut calls);
        let count = calls.monitors.len() + calls.moved.len();
        self.monitored_count.store(count, Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, MonitoredCalls> {
        self.monitored.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When a call ends unless a heartbeat comes first.
fn first_deadline(deadline: Instant, heartbeats: Option<HeartbeatWait>) -> Instant {
    match heartbeats {
        Some(HeartbeatWait { interval, is_expected: true }) => {
            deadline.min(timer::deadline_in(interval))
        }
        _ => deadline,
    }
}

/// A refused request that is not repeated ends the wait in its slot at once.
impl FailureSink for PendingCalls {
    fn publish_failed(&self, slot: u64, outcome: Outcome) {
        self.complete(slot, Arrived::PublishFailed(outcome));
    }

    /// The request of a call that has its reply need not be sent again.
    fn is_wanted(&self, slot: u64) -> bool {
        let is_moved =
            || self.find_monitored(|calls| calls.moved.contains_key(&slot).then_some(()));
        self.slots.is_waiting(slot) || is_moved().is_some()
    }
}

/// A refused request that may be repeated leaves the wait for a reply as it is.
struct RepeatableRefusals(Arc<Tickets<Outcome>>);

impl FailureSink for RepeatableRefusals {
    fn publish_failed(&self, slot: u64, outcome: Outcome) {
        // A call that has ended no longer waits for it.
        let _ = self.0.complete(slot, outcome);
    }

    fn is_wanted(&self, slot: u64) -> bool {
        self.0.is_waiting(slot)
    }
}

/// A call that waits for its reply. Dropping it frees its slot; a reply that comes later is dropped
/// and counted.
pub(crate) struct PendingCall {
    calls: Arc<PendingCalls>,
    slot: u64,
    ticket: Ticket<Arrived>,
    /// For a refusal of the request, where it may be repeated.
    refusal: Option<Ticket<Outcome>>,
    deadline: Instant,
    heartbeats: Option<HeartbeatWait>,
}

impl PendingCall {
    /// The slot for a refusal of the request.
    pub(crate) fn refusal_slot(&self) -> u64 {
        self.refusal.as_ref().map_or(self.slot, Ticket::token)
    }

    /// The id that leads a reply here.
    pub(crate) fn msg_id(&self) -> Hex32 {
        self.calls.ids.call_id(self.slot)
    }

    /// Waits for what ends the call or its present attempt; of a reply and a refusal the reply
    /// counts.
    pub(crate) fn arrived(&mut self) -> impl Future<Output = Result<Arrived, TicketError>> {
        std::future::poll_fn(|cx| {
            let reply = Pin::new(&mut self.ticket).poll(cx);
            let Some(refusal) = self.refusal.as_mut().filter(|_| reply.is_pending()) else {
                return reply;
            };
            let refused = std::task::ready!(Pin::new(refusal).poll(cx));
            // A ticket that is ready must not be polled again.
            self.refusal = None;
            Poll::Ready(refused.map(Arrived::PublishFailed))
        })
    }

    /// Waits on, as the reply that arrived was for another call: in a new slot that the old id
    /// leads to.
    pub(crate) fn wait_on(&mut self) {
        self.calls.count_late();
        let first = first_deadline(self.deadline, self.heartbeats);
        self.ticket = self.calls.slots.open(Some(first));
        let (from, to) = (self.slot, self.ticket.token());
        self.calls.change_monitored(|calls| {
            calls.moved.insert(from, to);
        });
    }

    /// Prepares for another attempt of the request: waits for heartbeats anew.
    pub(crate) fn repeat(&mut self) {
        self.refusal = Some(self.calls.refusals.open(None));
        if self.heartbeats.is_some_and(|heartbeats| heartbeats.is_expected) {
            self.calls.renew(self.slot);
        }
    }
}

impl Drop for PendingCall {
    fn drop(&mut self) {
        if self.calls.monitored_count.load(Ordering::Acquire) > 0 {
            self.calls.change_monitored(|calls| {
                calls.monitors.remove(&self.slot);
                calls.moved.remove(&self.slot);
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use leveret_engine::{EngineConfig, block_on};

    use super::*;

    #[test]
    fn a_repeated_request_is_waited_for_by_its_monitor() {
        let engine = Engine::start(EngineConfig::default()).unwrap();
        let calls = Arc::new(PendingCalls::new(Arc::new(IdSource::new().unwrap()), &engine));
        let deadline = timer::deadline_in(Duration::from_secs(3600));
        let interval = Duration::from_millis(20);
        let heartbeats = HeartbeatWait { interval, is_expected: true };
        let mut pending = calls.open(deadline, Some(heartbeats), true);
        pending.repeat();
        assert!(matches!(block_on(pending.arrived()), Err(TicketError::TimedOut)));
        pending = calls.open(deadline, None, true);
        for _ in 0..2 {
            calls.failure_sink(true).publish_failed(pending.refusal_slot(), Outcome::Nacked(None));
            let refused = block_on(pending.arrived());
            assert!(
                matches!(refused, Ok(Arrived::PublishFailed(Outcome::Nacked(None)))),
                "{refused:?}"
            );
            pending.repeat();
        }
        drop(pending);
        assert_eq!((calls.outstanding(), calls.refusals.outstanding()), (0, 0));
    }
}
