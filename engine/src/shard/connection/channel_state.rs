//! One channel on its shard: its outbox, the ledger of what it published, what it owes the broker.
//!
//! Invariant: a publication is in one place at a time: the outbox or the ledger. Epochs: a channel
//! that was opened again counts tags anew, and answers to deliveries of an older epoch are dropped.

use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::outcome::Outcome;
use crate::proto::{Answer, Content, Ledger, ProtoError, Record, Settled, Unacked};
use crate::reactor;
use crate::shard::border::acks::PendingAck;
use crate::shard::border::delivery::{Acker, Delivery, Returned};
use crate::shard::border::publication_queue::Remaining;
use crate::shard::border::reframe::unframe;
use crate::shard::border::segment::Segment;
use crate::shard::border::shared::ChannelShared;
use crate::shard::border::sink::Disposition;
use crate::shard::border::slab::Token;
use crate::shard::connection::consumer::ChannelConsumer;
use crate::shard::connection::exception_cause::Cause;
use crate::shard::connection::fingerprint::fingerprint;
use crate::shard::connection::in_flight;
use crate::shard::connection::in_flight::{
    ChannelFailure, InFlightRuns, InFlightSegment, Resolution, SentSegment,
};
use crate::shard::connection::reopen_policy::{ReopenPolicy, pause_before};
use crate::shard::connection::spare_segments::SpareSegments;
use crate::wire::Deliver;

pub(crate) struct ChannelState {
    pub(crate) shared: Arc<ChannelShared>,
    pub(crate) consumers: Vec<ChannelConsumer>,
    pub(crate) prefetch: u16,
    ledger: Ledger<InFlightSegment>,
    unacked: Unacked,
    pending_acks: Vec<PendingAck>,
    epoch: u32,
    /// Open on the wire: its outbox may flow.
    is_open: bool,
    /// A segment is with the writer.
    sending: bool,
    /// Refused publications of that segment, seen to once it is back.
    refused: Vec<(Record, Range<u32>)>,
    /// The channel ended while that segment was with the writer.
    pending_failure: Option<(ChannelFailure, InFlightRuns)>,
    reopen_policy: ReopenPolicy,
    /// How long refused publications are sent again.
    nack_retry: Duration,
    /// Acks and nacks so far: whether the broker confirms anything.
    settlements: u64,
    spares: SpareSegments,
    spare_handles: Vec<InFlightSegment>,
    /// Scratch of `settle`.
    done: Vec<(Vec<Record>, InFlightSegment)>,
}

/// How much of one channel leaves before others, acknowledgements and heartbeats get their turn.
const WRITE_TICK_BYTES: usize = 256 << 10;

impl ChannelState {
    pub(crate) fn new(shared: Arc<ChannelShared>, nack_retry: Duration) -> Self {
        let prefetch = shared.options.prefetch;
        Self {
            shared,
            consumers: Vec::new(),
            prefetch,
            ledger: Ledger::new(),
            unacked: Unacked::default(),
            pending_acks: Vec::new(),
            epoch: 0,
            is_open: false,
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

    pub(crate) fn open(&mut self, frame_max: u32, now: Instant) {
        self.shared.outbox.open(self.shared.number, frame_max);
        self.reopen_policy.record_open(now);
        self.is_open = true;
    }

    /// Nothing is published until the channel was opened anew.
    pub(crate) fn pause(&mut self) {
        self.is_open = false;
    }

    /// Open on the wire, with its options.
    pub(crate) fn is_open(&self) -> bool {
        self.is_open
    }

    /// True while publications are waiting to leave or to be confirmed.
    pub(crate) fn has_unsettled(&self) -> bool {
        self.shared.outbox.is_filled() || self.sending || self.ledger.outstanding() > 0
    }

    /// True while something is with the writer or with the broker.
    pub(crate) fn is_unsettled(&self) -> bool {
        self.sending || self.ledger.outstanding() > 0
    }

    /// The same of what may not be sent again.
    pub(crate) fn has_unrepeatable(&self) -> bool {
        self.sending || self.ledger.has_unrepeatable()
    }

    /// True while anything is waiting to leave or to be confirmed.
    pub(crate) fn is_busy(&self) -> bool {
        self.has_unsettled() || (self.is_open && self.has_acks())
    }

    /// True while a consumer has no room.
    pub(crate) fn is_full(&self) -> bool {
        self.consumers.iter().any(|consumer| !consumer.is_cancelled() && consumer.sink.is_full())
    }

    // ---- the road down

    pub(crate) fn has_publications(&self) -> bool {
        let outbox = &self.shared.outbox;
        let is_alone = || self.ledger.outstanding() == 0 && !self.sending;
        self.is_open
            && outbox.is_filled()
            && self.pending_failure.is_none()
            && (!outbox.has_suspects() || is_alone())
    }

    /// The next segment to send. Its records are in the ledger already if the channel has confirms;
    /// the in_flight takes the buffers back when they are sent.
    pub(crate) fn take(&mut self, now: Instant) -> (Segment, Option<InFlightSegment>) {
        let confirms = self.shared.options.confirms;
        let mut segment = self.shared.outbox.take(self.spares.take(), confirms);
        if self.spares.is_empty() {
            // The next one will hold about as much; grown at once, not by doubling.
            self.spares.give(Segment::with_capacity_of(&segment));
        }
        segment.mark_cuts(WRITE_TICK_BYTES);
        self.sending = true;
        if !confirms {
            // Callers fill the next buffer while this one is being sent.
            self.shared.outbox.grant_room();
            return (segment, None);
        }
        let size = segment.size();
        let in_flight = self.spare_handles.pop().unwrap_or_default();
        in_flight.replace(SentSegment { size, taken: Some(now), ..SentSegment::default() });
        self.ledger
            .absorb(std::mem::take(&mut segment.records), InFlightSegment::clone(&in_flight));
        (segment, Some(in_flight))
    }

    /// A segment has left, up to `written` (all of it unless the connection was lost). True when
    /// the broker has refused some of it meanwhile.
    pub(crate) fn finish_send(
        &mut self,
        mut segment: Segment,
        in_flight: Option<InFlightSegment>,
        written: usize,
        outcomes: &mut Vec<(Token, Outcome)>,
    ) -> bool {
        self.sending = false;
        let refused = std::mem::take(&mut self.refused);
        let is_refused = !refused.is_empty();
        for (record, at) in refused {
            self.refuse(&segment, record, at, outcomes);
        }
        match in_flight {
            // The ledger let go of it: confirmed while its write was still ending.
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

    /// The broker settles publications; false for a tag never published.
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

    /// The broker refused a publication: it is sent again later, or that is its end.
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
            self.count_unwatched();
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

    /// A nack was handled: whether the channel is to be opened anew.
    pub(crate) fn record_nack(&mut self, now: Instant) -> bool {
        self.reopen_policy.record_nack(now)
    }

    /// A publication that nobody waits for was refused.
    fn count_unwatched(&self) {
        self.shared.connection.unwatched_failures.fetch_add(1, Ordering::Relaxed);
    }

    /// Lets refused publications leave again whose time has come; when the next one's does.
    pub(crate) fn release_due(&self, now: Instant) -> Option<Instant> {
        self.shared.outbox.release_due(now)
    }

    /// Since when the oldest unconfirmed publication is with the broker, and how often the broker
    /// has confirmed or refused something.
    pub(crate) fn unconfirmed(&self) -> Option<(Instant, u64)> {
        let taken = self.ledger.oldest()?.borrow().taken?;
        Some((taken, self.settlements))
    }

    /// The token of the publication that came back.
    pub(crate) fn take_returned(&mut self, returned: &Returned) -> Option<Token> {
        let body = returned.body();
        self.take_returned_fingerprint(fingerprint(
            returned.exchange(),
            returned.routing_key(),
            body.pieces(),
        ))
    }

    /// The token of the publication with this fingerprint, which came back.
    pub(crate) fn take_returned_fingerprint(&mut self, fingerprint: u32) -> Option<Token> {
        self.ledger.returned(fingerprint)
    }

    // ---- the road up

    /// Fails when the broker breaks the order of delivery tags.
    pub(crate) fn deliver(&mut self, content: Content) -> Result<(), ProtoError> {
        let Some(deliver) = content.deliver() else { return Ok(()) };
        let Deliver { delivery_tag: tag, redelivered, consumer_tag, .. } = deliver;
        let found = self.consumers.iter_mut().find(|c| c.request.consumer_tag == consumer_tag);
        self.unacked.arrived(tag, found.as_ref().is_some_and(|c| c.request.no_ack))?;
        let Some(consumer) = found else {
            // Cancelled meanwhile: back to the queue it came from.
            self.unacked.delivered(tag);
            self.unacked.answer(tag, Answer::Reject { requeue: true });
            return Ok(());
        };
        let acker = (!consumer.request.no_ack)
            .then(|| Acker { acks: Arc::clone(&self.shared.acks), epoch: self.epoch });
        let no_ack = acker.is_none();
        if !no_ack {
            self.unacked.delivered(tag);
        }
        if consumer.is_cancelled() {
            if !no_ack {
                self.unacked.answer(tag, Answer::Reject { requeue: true });
            }
            return Ok(());
        }
        let delivery = Delivery::new(content, (tag, redelivered), acker);
        let answer = match consumer.sink.deliver(delivery) {
            Disposition::AckSoon if !no_ack && self.prefetch == 0 => {
                self.unacked.ack_soon(tag);
                return Ok(());
            }
            Disposition::Ack | Disposition::AckSoon => Answer::Ack,
            Disposition::Reject { requeue } => Answer::Reject { requeue },
            Disposition::Later => return Ok(()),
        };
        if !no_ack {
            self.unacked.answer(tag, answer);
        }
        Ok(())
    }

    /// A delivery whose body was too large to be kept: not for its queue again.
    pub(crate) fn reject_oversized(
        &mut self,
        content: Content,
        size: u64,
    ) -> Result<(), ProtoError> {
        let Some(deliver) = content.deliver() else { return Ok(()) };
        let Deliver { delivery_tag: tag, redelivered, consumer_tag, .. } = deliver;
        let found = self.consumers.iter_mut().find(|c| c.request.consumer_tag == consumer_tag);
        let no_ack = found.as_ref().is_some_and(|consumer| consumer.request.no_ack);
        self.unacked.arrived(tag, no_ack)?;
        if !no_ack {
            self.unacked.delivered(tag);
            self.unacked.answer(tag, Answer::Reject { requeue: false });
        }
        if let Some(consumer) = found.filter(|consumer| !consumer.is_cancelled()) {
            consumer.sink.oversized(Delivery::new(content, (tag, redelivered), None), size);
        }
        Ok(())
    }

    /// True when acknowledgements are to leave now.
    pub(crate) fn has_urgent_acks(&self) -> bool {
        (self.is_open && self.unacked.is_pressing()) || self.shared.acks.is_filled()
    }

    /// True when there are some, also such as may wait.
    pub(crate) fn has_acks(&self) -> bool {
        (self.is_open && self.unacked.owes()) || self.shared.acks.is_filled()
    }

    /// What may wait has waited.
    pub(crate) fn flush_acks(&mut self) {
        self.unacked.press();
    }

    /// Writes the acknowledgements owed.
    pub(crate) fn write_acks(&mut self, out: &mut Vec<u8>) {
        if self.shared.acks.is_filled() {
            self.shared.acks.take(&mut self.pending_acks);
            for ack in self.pending_acks.drain(..).filter(|ack| ack.epoch == self.epoch) {
                self.unacked.answer(ack.tag, ack.answer);
            }
        }
        if self.is_open {
            self.unacked.write(self.shared.number, out);
        }
    }

    // ---- endings

    /// The broker ended the channel. What its exception is about fails; its neighbours are sent
    /// again as far as they may be.
    pub(crate) fn handle_channel_failure(
        &mut self,
        failure: ChannelFailure,
        outcomes: &mut Vec<(Token, Outcome)>,
    ) {
        self.new_epoch();
        for consumer in &self.consumers {
            consumer.shared.set_waiting(&failure.error);
        }
        let runs = self.take_runs();
        if self.sending && !runs.is_empty() {
            // Its bytes are needed, and come back soon.
            self.pending_failure = Some((failure, runs));
        } else {
            self.resolve(&failure, runs, outcomes);
        }
    }

    fn take_runs(&mut self) -> InFlightRuns {
        let mut runs = self.pending_failure.take().map_or_else(Vec::new, |(_, runs)| runs);
        self.ledger.reset(|records, in_flight| runs.push((records, in_flight)));
        runs
    }

    /// Ends, or sends again, what was unconfirmed when the channel ended.
    fn resolve(
        &mut self,
        failure: &ChannelFailure,
        runs: InFlightRuns,
        outcomes: &mut Vec<(Token, Outcome)>,
    ) {
        let resolution = in_flight::resolve(failure, runs, outcomes);
        let shared = &self.shared.connection;
        shared.unwatched_failures.fetch_add(resolution.unwatched_failures, Ordering::Relaxed);
        self.send_again(resolution);
    }

    fn send_again(&mut self, Resolution { survivors, suspects, released_bytes, .. }: Resolution) {
        let resends = survivors.records.len() + suspects.len();
        self.shared.connection.resends.fetch_add(resends as u64, Ordering::Relaxed);
        self.shared.outbox.send_again(survivors);
        self.shared.outbox.send_alone(suspects);
        self.shared.outbox.release(released_bytes);
    }

    /// The writer has ended. One that panicked did not bring its segment back.
    pub(crate) fn handle_writer_ended(&mut self, outcomes: &mut Vec<(Token, Outcome)>) {
        self.sending = false;
        self.fail_refused(outcomes);
    }

    /// Fails what was refused while the writer had its segment, which does not come back.
    fn fail_refused(&mut self, outcomes: &mut Vec<(Token, Outcome)>) {
        let refused = self.refused.drain(..).filter(|(record, _)| record.token != 0);
        outcomes.extend(refused.map(|(record, _)| (record.token, Outcome::Nacked(None))));
    }

    /// The connection was lost: what may be sent again is, before anything newer; the rest is
    /// `MaybeSent`. What no byte of was handed to the kernel may always be sent.
    pub(crate) fn handle_connection_lost(
        &mut self,
        error: &Error,
        outcomes: &mut Vec<(Token, Outcome)>,
    ) {
        self.new_epoch();
        let failure =
            ChannelFailure { error: error.clone(), cause: Cause::Other, is_redeclared: false };
        let runs = self.take_runs();
        let resolution = in_flight::resolve(&failure, runs, outcomes);
        let lost = &self.shared.connection.unwatched_losses;
        lost.fetch_add(resolution.unwatched_failures, Ordering::Relaxed);
        self.send_again(resolution);
    }

    /// Changes when the channel is closed on the wire, and with it whatever is under way on it.
    pub(crate) fn epoch(&self) -> u32 {
        self.epoch
    }

    fn new_epoch(&mut self) {
        self.epoch += 1;
        self.shared.acks.set_epoch(self.epoch);
        self.is_open = false;
        self.unacked = Unacked::default();
    }

    /// Closed for good: what never left was not sent, what left may have been.
    pub(crate) fn close(&mut self, error: &Error, outcomes: &mut Vec<(Token, Outcome)>) {
        self.new_epoch();
        let runs = self.take_runs();
        let failure =
            ChannelFailure { error: error.clone(), cause: Cause::Other, is_redeclared: false };
        self.resolve(&failure, runs, outcomes);
        self.fail_refused(outcomes);
        let Remaining { unsent, resend, delayed } = self.shared.outbox.close(error.clone());
        let is_open = |record: &&Record| record.token != 0 && !record.settled;
        for record in unsent.records.iter().filter(is_open) {
            outcomes.push((record.token, Outcome::NotSent(error.clone())));
        }
        for record in resend.records.iter().filter(is_open) {
            outcomes.push((record.token, Outcome::MaybeSent(error.clone())));
        }
        for one in delayed {
            let given_back = Box::new(unframe(&one, 0..one.records[0].end));
            outcomes.push((one.records[0].token, Outcome::Nacked(Some(given_back))));
        }
    }
}

/// A shard that ends, however it ends, leaves no publisher waiting for room.
impl Drop for ChannelState {
    fn drop(&mut self) {
        self.shared.outbox.close(Error::stopped());
    }
}
