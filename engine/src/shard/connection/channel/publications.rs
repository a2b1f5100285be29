//! What a channel publishes: segments from its outbox to the writer, and the ledger of those the
//! broker has not confirmed.
//!
//! Invariant: a publication is in one place at a time, the outbox or the ledger. What becomes of
//! unconfirmed publications when the channel ends is decided in `in_flight`.

use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::config::Confirms;
use crate::error::Error;
use crate::outcome::Outcome;
use crate::proto::{Ledger, Record, Settled};
use crate::reactor;
use crate::shard::border::delivery::Returned;
use crate::shard::border::outbox::publication_queue::Remaining;
use crate::shard::border::outbox::reframe::unframe;
use crate::shard::border::outbox::segment::Segment;
use crate::shard::border::shared::ChannelShared;
use crate::shard::border::slab::Token;
use crate::shard::connection::channel::exception_cause::Cause;
use crate::shard::connection::channel::fingerprint::fingerprint;
use crate::shard::connection::channel::in_flight;
use crate::shard::connection::channel::in_flight::{
    ChannelFailure, InFlightRuns, InFlightSegment, Resolution, SentSegment,
};
use crate::shard::connection::channel::reopen_policy::{ReopenPolicy, pause_before};
use crate::shard::connection::channel::spare_segments::SpareSegments;

/// How much of one channel the writer sends before other channels, acknowledgements and heartbeats.
const WRITE_TICK_BYTES: usize = 256 << 10;

/// The publications of a channel that have left its outbox.
pub(crate) struct ChannelPublications {
    shared: Arc<ChannelShared>,
    ledger: Ledger<InFlightSegment>,
    /// Bytes of the segments in the ledger.
    unconfirmed_bytes: usize,
    /// The tag of the last publication whose segment the writer has returned.
    written: u64,
    /// The writer has a segment.
    sending: bool,
    /// Publications of that segment that the broker has refused. Handled when the writer returns
    /// it.
    refused: Vec<(Record, Range<u32>)>,
    /// The channel ended while the writer had a segment.
    pending_failure: Option<(ChannelFailure, InFlightRuns)>,
    reopen_policy: ReopenPolicy,
    /// How long refused publications are sent again.
    nack_retry: Duration,
    /// Number of acks and nacks so far. Shows the watchdog whether the broker confirms anything.
    settlements: u64,
    spares: SpareSegments,
    spare_handles: Vec<InFlightSegment>,
    /// Scratch vector of `settle`.
    done: Vec<(Vec<Record>, InFlightSegment)>,
}

impl ChannelPublications {
    pub(crate) fn new(shared: Arc<ChannelShared>, nack_retry: Duration) -> Self {
        Self {
            shared,
            ledger: Ledger::new(),
            unconfirmed_bytes: 0,
            written: 0,
            sending: false,
            refused: Vec::new(),
            pending_failure: None,
            reopen_policy: ReopenPolicy::default(),
            nack_retry,
            settlements: 0,
            spares: SpareSegments::default(),
            spare_handles: Vec::new(),
            done: Vec::new(),
        }
    }

    /// The channel was opened at the broker.
    pub(crate) fn record_open(&mut self, now: Instant) {
        self.reopen_policy.record_open(now);
    }

    /// True while publications wait to be sent or confirmed.
    pub(crate) fn has_unsettled(&self) -> bool {
        self.shared.outbox.is_filled() || self.is_unsettled()
    }

    /// True while the writer or the broker has publications.
    pub(crate) fn is_unsettled(&self) -> bool {
        self.sending || self.ledger.outstanding() > 0
    }

    /// The same for publications that may not be sent twice.
    pub(crate) fn has_unrepeatable(&self) -> bool {
        self.sending || self.ledger.has_unrepeatable()
    }

    /// Whether the outbox has publications that may be sent now.
    #[inline]
    pub(crate) fn has_sendable(&self) -> bool {
        let outbox = &self.shared.outbox;
        outbox.is_filled()
            && self.pending_failure.is_none()
            && (!outbox.has_suspects() || !self.is_unsettled())
    }

    /// Takes the next segment to send. On a channel with confirms, its records move to the ledger,
    /// and the second value tracks the segment until the broker has confirmed it.
    pub(crate) fn take(&mut self, now: Instant) -> (Segment, Option<InFlightSegment>) {
        let confirms = self.shared.options.confirms.are_on();
        let mut segment = self.shared.outbox.take(self.spares.take(), confirms);
        if self.spares.is_empty() {
            // The next segment is about as large. Allocated at once instead of by doubling.
            self.spares.give(Segment::with_capacity_of(&segment));
        }
        segment.mark_cuts(WRITE_TICK_BYTES);
        self.sending = true;
        if !confirms {
            // Callers may fill the next segment while this one is sent.
            self.shared.outbox.grant_room();
            return (segment, None);
        }
        let size = segment.size();
        self.unconfirmed_bytes += size;
        let in_flight = self.spare_handles.pop().unwrap_or_default();
        in_flight.replace(SentSegment { size, taken: Some(now), ..SentSegment::default() });
        self.ledger
            .absorb(std::mem::take(&mut segment.records), InFlightSegment::clone(&in_flight));
        (segment, Some(in_flight))
    }

    /// Takes back a segment of which `written` bytes were sent: all of it, unless the connection
    /// was lost. Returns true if the broker has refused publications of it.
    pub(crate) fn finish_send(
        &mut self,
        mut segment: Segment,
        in_flight: Option<InFlightSegment>,
        written: usize,
        outcomes: &mut Vec<(Token, Outcome)>,
    ) -> bool {
        self.sending = false;
        self.written = self.ledger.last();
        let refused = std::mem::take(&mut self.refused);
        let is_refused = !refused.is_empty();
        for (record, at) in refused {
            self.refuse(&segment, record, at, outcomes);
        }
        match in_flight {
            // The ledger dropped its handle: all was confirmed before the write completed.
            Some(in_flight) if Rc::strong_count(&in_flight) == 1 => {
                segment.records = in_flight.take().records;
                self.spare_handles.push(in_flight);
                self.spares.give(segment);
            }
            Some(in_flight) => {
                let mut kept = in_flight.borrow_mut();
                kept.written = written;
                kept.segment = Some(segment);
            }
            None => self.spares.give(segment),
        }
        if let Some((failure, runs)) = self.pending_failure.take() {
            self.resolve(&failure, runs, outcomes);
        }
        is_refused
    }

    /// Handles a `basic.ack` or `basic.nack`. Returns false if the tag was never published.
    pub(crate) fn settle(
        &mut self,
        tag: u64,
        multiple: bool,
        ack: bool,
        outcomes: &mut Vec<(Token, Outcome)>,
    ) -> bool {
        self.settlements += 1;
        if ack {
            self.reopen_policy.record_ack();
        }
        let mut done = std::mem::take(&mut self.done);
        let mut nacked = Vec::new();
        let known = self.ledger.settle(
            tag,
            multiple,
            ack,
            |settled, in_flight| match settled {
                Settled { record: Record { token: 0, .. }, ack: true, .. } => {}
                Settled { record, ack: true, .. } => {
                    outcomes.push((record.token, Outcome::Confirmed));
                }
                Settled { record, at, .. } => {
                    nacked.push((record, at, InFlightSegment::clone(in_flight)))
                }
            },
            |records, in_flight| done.push((records, in_flight)),
        );
        for (record, at, in_flight) in nacked {
            let kept = in_flight.borrow();
            match &kept.segment {
                Some(segment) => self.refuse(segment, record, at, outcomes),
                None => self.refused.push((record, at)),
            }
        }
        for (records, in_flight) in done.drain(..) {
            let SentSegment { segment, size, .. } = in_flight.take();
            self.shared.outbox.release(size);
            self.unconfirmed_bytes -= size;
            if let Some(mut segment) = segment {
                segment.records = records;
                self.spares.give(segment);
                self.spare_handles.push(in_flight);
            } else {
                in_flight.borrow_mut().records = records;
            }
        }
        self.done = done;
        known
    }

    /// The tag of the last publication that an answer of the broker would confirm, if the channel
    /// has [`Confirms::Together`] and one is unconfirmed; and the bytes of all of them.
    pub(crate) fn awaits_answer(&self) -> Option<(u64, usize)> {
        let is_asked_for = self.shared.options.confirms == Confirms::Together;
        let is_awaited = is_asked_for && self.written > 0 && self.ledger.oldest().is_some();
        is_awaited.then_some((self.written, self.unconfirmed_bytes))
    }

    /// Sends a refused publication again later, or completes it.
    #[cold]
    fn refuse(
        &self,
        segment: &Segment,
        record: Record,
        at: Range<u32>,
        outcomes: &mut Vec<(Token, Outcome)>,
    ) {
        let Record { token, retain, retries, .. } = record;
        if token == 0 {
            self.shared.connection.fire_and_forget_failures.fetch_add(1, Ordering::Relaxed);
            return;
        }
        match pause_before(retries, self.nack_retry).filter(|_| retain) {
            Some(pause) => {
                let mut again = Segment::default();
                let (retries, maybe_taken) = (retries + 1, true);
                again.push_range(segment, at, Record { retries, maybe_taken, ..record });
                self.shared.connection.resends.fetch_add(1, Ordering::Relaxed);
                self.shared.outbox.hold_until(again, reactor::now() + pause);
            }
            None if retain => {
                let given_back = Box::new(unframe(segment, at));
                outcomes.push((token, Outcome::Nacked(Some(given_back))));
            }
            None => outcomes.push((token, Outcome::Nacked(None))),
        }
    }

    /// Records a nack. Returns true if the channel is to be reopened.
    pub(crate) fn record_nack(&mut self, now: Instant) -> bool {
        self.reopen_policy.record_nack(now)
    }

    /// Queues the refused publications that are due. Returns when the next one is due.
    pub(crate) fn release_due(&self, now: Instant) -> Option<Instant> {
        self.shared.outbox.release_due(now)
    }

    /// Returns when the oldest unconfirmed publication was sent, and the number of acks and nacks
    /// so far.
    pub(crate) fn unconfirmed(&self) -> Option<(Instant, u64)> {
        let taken = self.ledger.oldest()?.borrow().taken?;
        Some((taken, self.settlements))
    }

    /// Takes the token of the publication that the broker returned; its ack then reports nothing.
    pub(crate) fn take_returned(&mut self, returned: &Returned) -> Option<Token> {
        let (exchange, routing_key) = (returned.exchange(), returned.routing_key());
        let pieces = returned.body().pieces();
        self.take_returned_fingerprint(fingerprint(exchange, routing_key, pieces))
    }

    /// Takes the token of the returned publication with this fingerprint.
    pub(crate) fn take_returned_fingerprint(&mut self, fingerprint: u32) -> Option<Token> {
        self.ledger.returned(fingerprint)
    }

    /// The broker closed the channel. The publication that caused it fails; others are sent again
    /// as far as that is allowed.
    pub(crate) fn handle_channel_failure(
        &mut self,
        failure: ChannelFailure,
        outcomes: &mut Vec<(Token, Outcome)>,
    ) {
        let runs = self.take_runs();
        if self.sending && !runs.is_empty() {
            // The bytes of the segment are needed. The writer returns it soon.
            self.pending_failure = Some((failure, runs));
        } else {
            self.resolve(&failure, runs, outcomes);
        }
    }

    /// The connection was lost. Retained publications, and those of which no byte was sent, are
    /// sent again before newer ones. The others are `MaybeSent`.
    pub(crate) fn handle_connection_lost(
        &mut self,
        error: &Error,
        outcomes: &mut Vec<(Token, Outcome)>,
    ) {
        let runs = self.take_runs();
        let resolution = in_flight::resolve(&connection_failure(error), runs, outcomes);
        let lost = &self.shared.connection.fire_and_forget_losses;
        lost.fetch_add(resolution.fire_and_forget_failures, Ordering::Relaxed);
        self.send_again(resolution);
    }

    /// The writer has ended. If it panicked, it has not returned its segment.
    pub(crate) fn handle_writer_ended(&mut self, outcomes: &mut Vec<(Token, Outcome)>) {
        self.sending = false;
        self.fail_refused(outcomes);
    }

    /// The channel is closed for good. Publications that were never sent are `NotSent`, unconfirmed
    /// ones `MaybeSent`.
    pub(crate) fn close(&mut self, error: &Error, outcomes: &mut Vec<(Token, Outcome)>) {
        let runs = self.take_runs();
        self.resolve(&connection_failure(error), runs, outcomes);
        self.fail_refused(outcomes);
        let Remaining { unsent, resend, delayed } = self.shared.outbox.close(error.clone());
        let is_pending = |record: &&Record| record.token != 0 && !record.settled;
        for record in unsent.records.iter().filter(is_pending) {
            outcomes.push((record.token, Outcome::NotSent(error.clone())));
        }
        for record in resend.records.iter().filter(is_pending) {
            outcomes.push((record.token, Outcome::MaybeSent(error.clone())));
        }
        for publication in delayed {
            let given_back = Box::new(unframe(&publication, 0..publication.records[0].end));
            outcomes.push((publication.records[0].token, Outcome::Nacked(Some(given_back))));
        }
    }

    fn take_runs(&mut self) -> InFlightRuns {
        (self.unconfirmed_bytes, self.written) = (0, 0);
        let mut runs = self.pending_failure.take().map_or_else(Vec::new, |(_, runs)| runs);
        self.ledger.reset(|records, in_flight| runs.push((records, in_flight)));
        let outcomes = &self.shared.connection.outcomes;
        for record in runs.iter_mut().flat_map(|(records, _)| records) {
            let may_be_resent = record.retain && !record.settled && record.token != 0;
            record.settled |= may_be_resent && outcomes.forget_unless_wanted(record.token);
        }
        runs
    }

    /// Completes or sends again what was unconfirmed when the channel ended.
    fn resolve(
        &mut self,
        failure: &ChannelFailure,
        runs: InFlightRuns,
        outcomes: &mut Vec<(Token, Outcome)>,
    ) {
        let resolution = in_flight::resolve(failure, runs, outcomes);
        let shared = &self.shared.connection;
        shared
            .fire_and_forget_failures
            .fetch_add(resolution.fire_and_forget_failures, Ordering::Relaxed);
        self.send_again(resolution);
    }

    fn send_again(&mut self, Resolution { resend, suspects, released_bytes, .. }: Resolution) {
        let resends = resend.records.len() + suspects.len();
        self.shared.connection.resends.fetch_add(resends as u64, Ordering::Relaxed);
        self.shared.outbox.send_again(resend);
        self.shared.outbox.send_alone(suspects);
        self.shared.outbox.release(released_bytes);
    }

    /// Completes refused publications of a segment that the writer does not return.
    fn fail_refused(&mut self, outcomes: &mut Vec<(Token, Outcome)>) {
        let refused = self.refused.drain(..).filter(|(record, _)| record.token != 0);
        outcomes.extend(refused.map(|(record, _)| (record.token, Outcome::Nacked(None))));
    }
}

/// A failure that no publication caused.
fn connection_failure(error: &Error) -> ChannelFailure {
    ChannelFailure { error: error.clone(), cause: Cause::Other, is_redeclared: false }
}

/// However the shard ends, no publisher keeps waiting for room.
impl Drop for ChannelPublications {
    fn drop(&mut self) {
        self.shared.outbox.close(Error::stopped());
    }
}
