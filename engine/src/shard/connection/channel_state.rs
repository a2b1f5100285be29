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
use crate::shard::border::acks::Given;
use crate::shard::border::delivery::{Acker, Delivery, Returned};
use crate::shard::border::outbox::Left;
use crate::shard::border::reframe::unframe;
use crate::shard::border::segment::Segment;
use crate::shard::border::shared::ChannelShared;
use crate::shard::border::sink::Disposition;
use crate::shard::border::slab::Token;
use crate::shard::connection::consumer::ConsumerSeat;
use crate::shard::connection::culprit::Cause;
use crate::shard::connection::fingerprint::fingerprint;
use crate::shard::connection::in_flight;
use crate::shard::connection::in_flight::{Exception, Judged, Kept, Runs, Shelf};
use crate::shard::connection::nacked::{Renewal, pause_before};
use crate::shard::connection::spare_segments::SpareSegments;
use crate::wire::Deliver;

pub(crate) struct Seat {
    pub(crate) shared: Arc<ChannelShared>,
    pub(crate) consumers: Vec<ConsumerSeat>,
    pub(crate) prefetch: u16,
    ledger: Ledger<Shelf>,
    unacked: Unacked,
    given: Vec<Given>,
    epoch: u32,
    /// Open on the wire: its outbox may flow.
    flowing: bool,
    /// A segment is with the writer.
    sending: bool,
    /// Refused publications of that segment, seen to once it is back.
    refused: Vec<(Record, Range<u32>)>,
    /// The channel ended while that segment was with the writer.
    interrupted: Option<(Exception, Runs)>,
    renewal: Renewal,
    /// How long refused publications are sent again.
    nack_retry: Duration,
    /// Acks and nacks so far: whether the broker confirms anything.
    settlements: u64,
    spares: SpareSegments,
    shelves: Vec<Shelf>,
    /// Scratch of `settle`.
    done: Vec<(Vec<Record>, Shelf)>,
}

/// How much of one channel leaves before others, acknowledgements and heartbeats get their turn.
const TURN: usize = 256 << 10;

impl Seat {
    pub(crate) fn new(shared: Arc<ChannelShared>, nack_retry: Duration) -> Self {
        let prefetch = shared.options.prefetch;
        Self {
            shared,
            consumers: Vec::new(),
            prefetch,
            ledger: Ledger::new(),
            unacked: Unacked::default(),
            given: Vec::new(),
            epoch: 0,
            flowing: false,
            sending: false,
            refused: Vec::new(),
            interrupted: None,
            renewal: Renewal::default(),
            nack_retry,
            settlements: 0,
            spares: SpareSegments::default(),
            shelves: Vec::new(),
            done: Vec::new(),
        }
    }

    pub(crate) fn open(&mut self, frame_max: u32, now: Instant) {
        self.shared.outbox.open(self.shared.number, frame_max);
        self.renewal.opened(now);
        self.flowing = true;
    }

    /// Nothing is published until the channel was opened anew.
    pub(crate) fn hold(&mut self) {
        self.flowing = false;
    }

    /// Open on the wire, with its options.
    pub(crate) fn is_flowing(&self) -> bool {
        self.flowing
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
        self.has_unsettled() || (self.flowing && self.owes_answers())
    }

    /// True while a consumer has no room.
    pub(crate) fn is_full(&self) -> bool {
        self.consumers.iter().any(|consumer| !consumer.is_deaf() && consumer.sink.is_full())
    }

    // ---- the road down

    pub(crate) fn has_publications(&self) -> bool {
        let outbox = &self.shared.outbox;
        let is_alone = || self.ledger.outstanding() == 0 && !self.sending;
        self.flowing
            && outbox.is_filled()
            && self.interrupted.is_none()
            && (!outbox.has_suspects() || is_alone())
    }

    /// The next segment to send. Its records are in the ledger already if the channel has confirms;
    /// the shelf takes the buffers back when they are sent.
    pub(crate) fn take(&mut self, now: Instant) -> (Segment, Option<Shelf>) {
        let confirms = self.shared.options.confirms;
        let mut segment = self.shared.outbox.take(self.spares.take(), confirms);
        if self.spares.is_empty() {
            // The next one will hold about as much; grown at once, not by doubling.
            self.spares.give(Segment::sized_as(&segment));
        }
        segment.cut(TURN);
        self.sending = true;
        if !confirms {
            // Callers fill the next buffer while this one is being sent.
            self.shared.outbox.announce_room();
            return (segment, None);
        }
        let size = segment.size();
        let shelf = self.shelves.pop().unwrap_or_default();
        shelf.replace(Kept { size, taken: Some(now), ..Kept::default() });
        self.ledger.absorb(std::mem::take(&mut segment.records), Shelf::clone(&shelf));
        (segment, Some(shelf))
    }

    /// A segment has left, up to `written` (all of it unless the connection was lost). True when
    /// the broker has refused some of it meanwhile.
    pub(crate) fn sent(
        &mut self,
        mut segment: Segment,
        shelf: Option<Shelf>,
        written: usize,
        outcomes: &mut Vec<(Token, Outcome)>,
    ) -> bool {
        self.sending = false;
        let refused = std::mem::take(&mut self.refused);
        let is_refused = !refused.is_empty();
        for (record, at) in refused {
            self.refuse(&segment, record, at, outcomes);
        }
        match shelf {
            // The ledger let go of it: confirmed while its write was still ending.
            Some(shelf) if Rc::strong_count(&shelf) == 1 => {
                segment.records = shelf.take().records;
                self.shelves.push(shelf);
                self.spares.give(segment);
            }
            Some(shelf) => {
                let mut kept = shelf.borrow_mut();
                kept.written = written;
                kept.segment = Some(segment);
            }
            None => self.spares.give(segment),
        }
        if let Some((exception, runs)) = self.interrupted.take() {
            self.judge(&exception, runs, outcomes);
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
            self.renewal.acked();
        }
        let mut done = std::mem::take(&mut self.done);
        let mut nacked = Vec::new();
        let known = self.ledger.settle(
            tag,
            multiple,
            ack,
            |settled, shelf| match settled {
                Settled { record: Record { token: 0, .. }, ack: true, .. } => {}
                Settled { record, ack: true, .. } => {
                    outcomes.push((record.token, Outcome::Confirmed));
                }
                Settled { record, at, .. } => nacked.push((record, at, Shelf::clone(shelf))),
            },
            |records, shelf| done.push((records, shelf)),
        );
        for (record, at, shelf) in nacked {
            let kept = shelf.borrow();
            match &kept.segment {
                Some(segment) => self.refuse(segment, record, at, outcomes),
                None => self.refused.push((record, at)),
            }
        }
        for (records, shelf) in done.drain(..) {
            let Kept { segment, size, .. } = shelf.take();
            self.shared.outbox.release(size);
            if let Some(mut segment) = segment {
                segment.records = records;
                self.spares.give(segment);
                self.shelves.push(shelf);
            } else {
                shelf.borrow_mut().records = records;
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
                self.shared.outbox.delay(again, reactor::now() + pause);
            }
            None if retain => {
                let given_back = Box::new(unframe(segment, at));
                outcomes.push((token, Outcome::Nacked(Some(given_back))));
            }
            None => outcomes.push((token, Outcome::Nacked(None))),
        }
    }

    /// A nack was handled: whether the channel is to be opened anew.
    pub(crate) fn nacked(&mut self, now: Instant) -> bool {
        self.renewal.nacked(now)
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
    pub(crate) fn returned(&mut self, returned: &Returned) -> Option<Token> {
        let body = returned.body();
        self.returned_as(fingerprint(returned.exchange(), returned.routing_key(), body.pieces()))
    }

    /// The token of the publication with this fingerprint, which came back.
    pub(crate) fn returned_as(&mut self, fingerprint: u32) -> Option<Token> {
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
        if consumer.is_deaf() {
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
        if let Some(consumer) = found.filter(|consumer| !consumer.is_deaf()) {
            consumer.sink.oversized(Delivery::new(content, (tag, redelivered), None), size);
        }
        Ok(())
    }

    /// True when acknowledgements are to leave now.
    pub(crate) fn has_answers(&self) -> bool {
        (self.flowing && self.unacked.is_pressing()) || self.shared.acks.is_filled()
    }

    /// True when there are some, also such as may wait.
    pub(crate) fn owes_answers(&self) -> bool {
        (self.flowing && self.unacked.owes()) || self.shared.acks.is_filled()
    }

    /// What may wait has waited.
    pub(crate) fn press(&mut self) {
        self.unacked.press();
    }

    /// Writes the acknowledgements owed.
    pub(crate) fn write_answers(&mut self, out: &mut Vec<u8>) {
        if self.shared.acks.is_filled() {
            self.shared.acks.take(&mut self.given);
            for given in self.given.drain(..).filter(|given| given.epoch == self.epoch) {
                self.unacked.answer(given.tag, given.answer);
            }
        }
        if self.flowing {
            self.unacked.write(self.shared.number, out);
        }
    }

    // ---- endings

    /// The broker ended the channel. What its exception is about fails; its neighbours are sent
    /// again as far as they may be.
    pub(crate) fn interrupt(&mut self, exception: Exception, outcomes: &mut Vec<(Token, Outcome)>) {
        self.new_epoch();
        for consumer in &self.consumers {
            consumer.shared.waits(&exception.error);
        }
        let runs = self.give_up_runs();
        if self.sending && !runs.is_empty() {
            // Its bytes are needed, and come back soon.
            self.interrupted = Some((exception, runs));
        } else {
            self.judge(&exception, runs, outcomes);
        }
    }

    fn give_up_runs(&mut self) -> Runs {
        let mut runs = self.interrupted.take().map_or_else(Vec::new, |(_, runs)| runs);
        self.ledger.reset(|records, shelf| runs.push((records, shelf)));
        runs
    }

    /// Ends, or sends again, what was unconfirmed when the channel ended.
    fn judge(&mut self, exception: &Exception, runs: Runs, outcomes: &mut Vec<(Token, Outcome)>) {
        let judged = in_flight::judge(exception, runs, outcomes);
        let shared = &self.shared.connection;
        shared.unwatched_failures.fetch_add(judged.unwatched, Ordering::Relaxed);
        self.send_again(judged);
    }

    fn send_again(&mut self, Judged { survivors, suspects, freed, .. }: Judged) {
        let resends = survivors.records.len() + suspects.len();
        self.shared.connection.resends.fetch_add(resends as u64, Ordering::Relaxed);
        self.shared.outbox.send_again(survivors);
        self.shared.outbox.send_alone(suspects);
        self.shared.outbox.release(freed);
    }

    /// The writer has ended. One that panicked did not bring its segment back.
    pub(crate) fn writer_ended(&mut self, outcomes: &mut Vec<(Token, Outcome)>) {
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
    pub(crate) fn connection_lost(&mut self, error: &Error, outcomes: &mut Vec<(Token, Outcome)>) {
        self.new_epoch();
        let exception = Exception { error: error.clone(), cause: Cause::Other, heals: false };
        let runs = self.give_up_runs();
        let judged = in_flight::judge(&exception, runs, outcomes);
        let lost = &self.shared.connection.unwatched_losses;
        lost.fetch_add(judged.unwatched, Ordering::Relaxed);
        self.send_again(judged);
    }

    /// Changes when the channel is closed on the wire, and with it whatever is under way on it.
    pub(crate) fn epoch(&self) -> u32 {
        self.epoch
    }

    fn new_epoch(&mut self) {
        self.epoch += 1;
        self.shared.acks.begin(self.epoch);
        self.flowing = false;
        self.unacked = Unacked::default();
    }

    /// Closed for good: what never left was not sent, what left may have been.
    pub(crate) fn close(&mut self, error: &Error, outcomes: &mut Vec<(Token, Outcome)>) {
        self.new_epoch();
        let runs = self.give_up_runs();
        let exception = Exception { error: error.clone(), cause: Cause::Other, heals: false };
        self.judge(&exception, runs, outcomes);
        self.fail_refused(outcomes);
        let Left { unsent, resend, delayed } = self.shared.outbox.close(error.clone());
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
impl Drop for Seat {
    fn drop(&mut self) {
        self.shared.outbox.close(Error::stopped());
    }
}
