//! Processes notifications: decodes them, calls the endpoints, acknowledges or rejects.
//!
//! Unlike a request, a notification is acknowledged once it is handled, so what a crash interrupts
//! comes again. Endpoints are called in their order, until one requeues the notification or fails.
//! A batch is processed by priority. Reading stops while too much waits. A notification whose
//! connection was lost is not started: RabbitMQ delivers it again. Invariant: every delivery is
//! acknowledged or rejected once, whatever the endpoints do.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use leveret_engine::Delivery;
use tracing::Instrument;

use crate::dialect::wire::Wire;
use crate::message::serializer::Serializer;
use crate::notify::listener::batcher::{Batcher, Batching};
use crate::notify::listener::endpoint::{FunctionCall, NotificationEndpoint, PendingVerdict};
use crate::notify::listener::failed_attempts::FailedAttempts;
use crate::notify::listener::received::Received;
use crate::notify::listener::stats::ListenerStats;
use crate::notify::listener::verdict::Verdict;
use crate::observe::intake::IntakeRecorder;
use crate::observe::spans;
use crate::runtime::dedup::DedupWindow;
use crate::runtime::executor::Executor;
use crate::runtime::runner::{Processor, Runner};
use crate::runtime::timer::Timer;
use crate::transport::intake_limit::{self, IntakeLimit, Load};
use crate::transport::transport::Transport;

/// Processes the notifications of one listener, on whichever thread its executor runs them.
pub(crate) struct NotificationProcessor {
    endpoints: Vec<NotificationEndpoint>,
    serializer: Option<Arc<dyn Serializer>>,
    wire: Arc<Wire>,
    allow_requeue: bool,
    attempts: FailedAttempts,
    timer: Arc<Timer>,
    handled: DedupWindow,
    pub(super) runner: Runner<Self>,
    pub(super) batcher: OnceLock<Arc<Batcher<Delivery>>>,
    pub(super) limit: IntakeLimit,
    /// Bytes of notifications that failed and wait for another attempt.
    postponed: AtomicUsize,
    pub(super) counters: IntakeRecorder,
}

/// A notification on its way through the endpoints, with their verdict so far.
struct PendingNotification {
    delivery: Delivery,
    received: Received,
    verdict: Verdict,
    /// It has failed before and is processed alone.
    is_suspect: bool,
    /// It was called together with others, so another may have failed.
    is_batched: bool,
}

impl Processor for NotificationProcessor {
    type Item = Vec<Delivery>;

    async fn process(self: Arc<Self>, deliveries: Vec<Delivery>) {
        let opened = deliveries.into_iter().filter_map(|delivery| self.decode(delivery));
        let mut pending: Vec<PendingNotification> = opened.collect();
        pending.sort_by_key(|one| one.received.priority);
        for group in
            pending.chunk_by_mut(|one, next| one.received.priority == next.received.priority)
        {
            self.dispatch(group).await;
        }
        pending.into_iter().for_each(|one| self.finish_one(one));
    }
}

impl NotificationProcessor {
    pub(crate) fn new(
        endpoints: Vec<NotificationEndpoint>,
        serializer: Option<Arc<dyn Serializer>>,
        (allow_requeue, attempts_max): (bool, Option<u32>),
        executor: Executor,
        unacknowledged: usize,
        transport: &Transport,
    ) -> Arc<Self> {
        let threads = transport.config().executor_threads;
        Arc::new_cyclic(|this| Self {
            endpoints,
            serializer,
            allow_requeue,
            attempts: FailedAttempts::new(attempts_max),
            timer: Arc::clone(transport.timer()),
            wire: Arc::clone(transport.wire()),
            handled: DedupWindow::new(unacknowledged),
            runner: Runner::new(executor, threads, this.clone()),
            batcher: OnceLock::new(),
            limit: IntakeLimit::default(),
            postponed: AtomicUsize::new(0),
            counters: IntakeRecorder::new(&transport.counters().heard),
        })
    }

    /// From now on gathers notifications into batches.
    pub(crate) fn start_batching(self: &Arc<Self>, batching: Batching) {
        let this = Arc::downgrade(self);
        let batcher = Batcher::new(batching, Arc::clone(&self.timer), move |batch| {
            if let Some(this) = this.upgrade() {
                this.runner.submit(&this, &mut vec![batch]);
            }
        });
        let is_first = self.batcher.set(batcher).is_ok();
        debug_assert!(is_first, "batching is set once, before anything is delivered");
    }

    /// The bound on what waits.
    pub(crate) const fn limit(&self) -> &IntakeLimit {
        &self.limit
    }

    /// What waits to be processed, or for another attempt.
    pub(super) fn load(&self) -> Load {
        let (messages, bytes) = self.counters.waiting();
        Load { messages, bytes: bytes + self.postponed.load(Ordering::Relaxed), running: 0 }
    }

    /// No further notification comes: an unfinished batch is processed as it is.
    pub(crate) fn end_batching(&self) {
        if let Some(batcher) = self.batcher.get() {
            batcher.close();
        }
    }

    /// Waits until every notification taken is processed. Those that wait for another attempt go
    /// back when the connection ends.
    pub(crate) async fn finish(&self) {
        self.end_batching();
        self.runner.finish().await;
    }

    pub(crate) fn stats(&self) -> ListenerStats {
        let counts = self.counters.read();
        ListenerStats {
            handled: counts.done,
            requeued: counts.returned,
            dropped: counts.dropped,
            duplicates: counts.duplicates,
            undecodable: counts.undecodable,
            reconnects: 0,
        }
    }

    /// Decodes a delivery; acknowledges or rejects one that needs no endpoint.
    fn decode(&self, delivery: Delivery) -> Option<PendingNotification> {
        self.counters.remove_waiting(delivery.body().len());
        self.limit.resume_if_eased(|| self.load());
        if !delivery.is_answerable() {
            return None;
        }
        let received = self.wire.read_notification(&delivery, Received::new);
        let received = match received {
            Ok(Some(received)) => received,
            Ok(None) => {
                tracing::warn!(
                    name: "leveret.notification.unknown_priority",
                    "a notification of no known priority is dropped"
                );
                self.counters.count(|counters| &counters.undecodable);
                delivery.ack();
                return None;
            }
            Err(error) => {
                tracing::warn!(
                    name: "leveret.notification.undecodable",
                    %error, "a message is no notification and is dropped"
                );
                self.counters.count(|counters| &counters.undecodable);
                delivery.reject(false);
                return None;
            }
        };
        if received.unique_id.as_deref().is_some_and(|id| self.handled.contains(id)) {
            self.counters.count(|counters| &counters.duplicates);
            tracing::info!(
                name: "leveret.notification.repeated",
                unique_id = ?received.unique_id, "a repeated notification is dropped"
            );
            delivery.ack();
            return None;
        }
        let (received, verdict) = match &self.serializer {
            None => (received, Verdict::Handled),
            Some(serializer) => received.through(serializer.as_ref()),
        };
        let is_suspect = self.attempts.suspects(&delivery.body().contiguous());
        Some(PendingNotification { delivery, received, verdict, is_suspect, is_batched: false })
    }

    /// Calls the endpoints with notifications of one priority.
    async fn dispatch(&self, pending: &mut [PendingNotification]) {
        let Some(priority) = pending.first().map(|one| one.received.priority) else { return };
        for endpoint in &self.endpoints {
            let Some(function) = endpoint.function(priority) else { continue };
            let mut wanted: Vec<&mut PendingNotification> = pending
                .iter_mut()
                .filter(|one| one.verdict == Verdict::Handled && endpoint.accepts(&one.received))
                .collect();
            let are_batched = |one: &&mut PendingNotification, next: &&mut PendingNotification| {
                function.takes_batch && !one.is_suspect && !next.is_suspect
            };
            for pending in wanted.chunk_by_mut(are_batched) {
                let first = &pending[0].received;
                let span = spans::hear(&first.event_type, priority, pending.len(), &first.context);
                let FunctionCall { verdict, unreadable } = {
                    let received: Vec<_> = pending.iter().map(|one| &one.received).collect();
                    span.in_scope(|| (function.run)(&received))
                };
                let verdict = match verdict {
                    PendingVerdict::Ready(verdict) => verdict,
                    PendingVerdict::Awaited(future) => future.instrument(span).await,
                };
                let is_batched = pending.len() - unreadable.len() > 1;
                for one in pending.iter_mut() {
                    one.verdict = verdict.clone();
                    one.is_batched = is_batched;
                }
                for (index, error) in unreadable {
                    pending[index].verdict = Verdict::Failed(error);
                    pending[index].is_batched = false;
                }
            }
        }
    }

    /// Returns a notification to its queue later, for another attempt.
    fn postpone(self: &Arc<Self>, mut delivery: Delivery, delay: Duration) {
        self.counters.count(|counters| &counters.returned);
        intake_limit::detach(&mut delivery);
        let bytes = delivery.body().len();
        self.postponed.fetch_add(bytes, Ordering::Relaxed);
        let this = Arc::downgrade(self);
        self.timer.after(delay, move || {
            delivery.reject(true);
            let Some(this) = this.upgrade() else { return };
            this.postponed.fetch_sub(bytes, Ordering::Relaxed);
            this.limit.resume_if_eased(|| this.load());
        });
    }

    fn finish_one(self: &Arc<Self>, one: PendingNotification) {
        let PendingNotification { delivery, received, verdict, is_batched, .. } = one;
        let (event_type, message_id) = (&received.event_type, &received.message_id);
        match verdict {
            Verdict::Requeue if self.allow_requeue => {
                self.counters.count(|counters| &counters.returned);
                delivery.reject(true);
            }
            Verdict::Failed(error) if self.allow_requeue => {
                let delay = self.attempts.failed(&delivery.body().contiguous(), is_batched);
                let is_dropped = delay.is_none();
                tracing::error!(
                    name: "leveret.notification.failed",
                    error, event_type, message_id, is_dropped, "a notification failed"
                );
                match delay {
                    Some(delay) => self.postpone(delivery, delay),
                    // Rejected, not acknowledged: a dead letter exchange, if there is one, gets it.
                    None => {
                        self.counters.count(|counters| &counters.dropped);
                        delivery.reject(false);
                    }
                }
            }
            done => {
                if let Verdict::Failed(error) = &done {
                    tracing::error!(
                        name: "leveret.notification.failed",
                        error, event_type, message_id, "a notification failed"
                    );
                }
                let is_handled = done == Verdict::Handled;
                self.counters.count(match is_handled {
                    true => |counters| &counters.done,
                    false => |counters| &counters.dropped,
                });
                if let Some(id) = &received.unique_id {
                    self.handled.insert(id);
                }
                if one.is_suspect {
                    self.attempts.forget(&delivery.body().contiguous());
                }
                delivery.ack();
            }
        }
    }
}
