//! One channel on its shard: its outbox, the ledger of what it published, what it owes the broker.
//!
//! Invariant: a publication is in one place at a time: the outbox or the ledger. Epochs: a channel
//! that was opened again counts tags anew, and answers to deliveries of an older epoch are dropped.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::acks::Given;
use super::conn::ConsumerSeat;
use super::fingerprint::fingerprint;
use super::places::Token;
use super::reframe::unframe;
use super::segment::Segment;
use super::shared::ChannelShared;
use super::sink::Disposition;
use crate::delivery::Acker;
use crate::proto::{Answer, Content, Ledger, Record, Settled, Unacked};
use crate::wire::Deliver;
use crate::{Delivery, Error, Outcome, Returned};

/// What a run of the ledger keeps of its segment.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// The segment without its records; back from the socket when `Some`.
    segment: Option<Segment>,
    /// Its records, confirmed before it came back.
    records: Vec<Record>,
    /// What it counts in the channel's send budget.
    size: usize,
    /// How far its bytes were handed to the kernel.
    written: usize,
}

pub(super) type Shelf = Rc<RefCell<Kept>>;

pub(super) struct Seat {
    pub(super) shared: Arc<ChannelShared>,
    pub(super) consumers: Vec<ConsumerSeat>,
    pub(super) prefetch: u16,
    ledger: Ledger<Shelf>,
    unacked: Unacked,
    given: Vec<Given>,
    epoch: u32,
    /// Open on the wire: its outbox may flow.
    flowing: bool,
    /// A segment is with the writer.
    sending: bool,
    /// Refused publications of that segment, which are given back once it is.
    refused: Vec<(Token, Range<u32>)>,
    /// By their size, the largest last.
    spares: Vec<Segment>,
    /// Memory of the spares.
    spare_bytes: usize,
    shelves: Vec<Shelf>,
    /// Scratch of `settle`.
    done: Vec<(Vec<Record>, Shelf)>,
}

/// How much of one channel leaves before others, acknowledgements and heartbeats get their turn.
const TURN: usize = 256 << 10;
/// Empty segments kept for the next swap: as many as may be under way to a broker that confirms
/// late.
const SPARES: usize = 1024;
/// Memory of all of them: a few as large as the default outbox, which is what a fast broker is
/// given. The largest are given back to the allocator first.
const SPARE_BYTES: usize = 32 << 20;

impl Seat {
    pub(super) fn new(shared: Arc<ChannelShared>) -> Self {
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
            spares: Vec::new(),
            spare_bytes: 0,
            shelves: Vec::new(),
            done: Vec::new(),
        }
    }

    pub(super) fn open(&mut self, frame_max: u32) {
        self.shared.outbox.open(self.shared.number, frame_max);
        self.flowing = true;
    }

    /// Open on the wire, with its options.
    pub(super) fn is_flowing(&self) -> bool {
        self.flowing
    }

    /// True while publications are waiting to leave or to be confirmed.
    pub(super) fn has_unsettled(&self) -> bool {
        self.shared.outbox.is_filled() || self.sending || self.ledger.outstanding() > 0
    }

    /// True while anything is waiting to leave or to be confirmed.
    pub(super) fn is_busy(&self) -> bool {
        self.has_unsettled() || (self.flowing && self.owes_answers())
    }

    /// True while a consumer has no room.
    pub(super) fn is_full(&self) -> bool {
        self.consumers.iter().any(|consumer| !consumer.is_deaf() && consumer.sink.is_full())
    }

    // ---- the road down

    pub(super) fn has_publications(&self) -> bool {
        self.flowing && self.shared.outbox.is_filled()
    }

    /// The next segment to send. Its records are in the ledger already if the channel has confirms;
    /// the shelf takes the buffers back when they are sent.
    pub(super) fn take(&mut self) -> (Segment, Option<Shelf>) {
        let confirms = self.shared.options.confirms;
        let spare = self.spares.pop().unwrap_or_default();
        self.spare_bytes -= spare.footprint();
        let mut segment = self.shared.outbox.take(spare, confirms);
        if self.spares.is_empty() {
            // The next one will hold about as much; grown at once, not by doubling.
            self.recycle(Segment::sized_as(&segment));
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
        shelf.replace(Kept { size, ..Kept::default() });
        self.ledger.absorb(std::mem::take(&mut segment.records), Shelf::clone(&shelf));
        (segment, Some(shelf))
    }

    /// A segment has left, up to `written` (all of it unless the connection was lost).
    pub(super) fn sent(
        &mut self,
        mut segment: Segment,
        shelf: Option<Shelf>,
        written: usize,
        outcomes: &mut Vec<(Token, Outcome)>,
    ) {
        self.sending = false;
        if !self.refused.is_empty() {
            let refused = self.refused.drain(..);
            outcomes.extend(refused.map(|(token, at)| (token, given_back(&segment, at))));
        }
        match shelf {
            // The ledger let go of it: confirmed while its write was still ending.
            Some(shelf) if Rc::strong_count(&shelf) == 1 => {
                segment.records = shelf.take().records;
                self.shelves.push(shelf);
                self.recycle(segment);
            }
            Some(shelf) => {
                let mut kept = shelf.borrow_mut();
                kept.written = written;
                kept.segment = Some(segment);
            }
            None => self.recycle(segment),
        }
    }

    /// Keeps a segment for the next swap. The largest is used first: the small ones would grow one
    /// after another.
    fn recycle(&mut self, mut segment: Segment) {
        segment.clear();
        let footprint = segment.footprint();
        let place = self.spares.partition_point(|spare| spare.footprint() <= footprint);
        self.spares.insert(place, segment);
        self.spare_bytes += footprint;
        while self.spares.len() > SPARES || self.spare_bytes > SPARE_BYTES {
            self.spare_bytes -= self.spares.pop().map_or(0, |spare| spare.footprint());
        }
    }

    /// The broker settles publications; false for a tag never published.
    pub(super) fn settle(
        &mut self,
        tag: u64,
        multiple: bool,
        ack: bool,
        outcomes: &mut Vec<(Token, Outcome)>,
    ) -> bool {
        let mut done = std::mem::take(&mut self.done);
        let refused = &mut self.refused;
        let known = self.ledger.settle(
            tag,
            multiple,
            ack,
            |settled, shelf| match settled {
                Settled { token: 0, .. } => {}
                Settled { token, ack: true, .. } => outcomes.push((token, Outcome::Confirmed)),
                Settled { token, retain: false, .. } => {
                    outcomes.push((token, Outcome::Nacked(None)));
                }
                Settled { token, at, .. } => match &shelf.borrow().segment {
                    Some(segment) => outcomes.push((token, given_back(segment, at))),
                    None => refused.push((token, at)),
                },
            },
            |records, shelf| done.push((records, shelf)),
        );
        for (records, shelf) in done.drain(..) {
            let Kept { segment, size, .. } = shelf.take();
            self.shared.outbox.release(size);
            if let Some(mut segment) = segment {
                segment.records = records;
                self.recycle(segment);
                self.shelves.push(shelf);
            } else {
                shelf.borrow_mut().records = records;
            }
        }
        self.done = done;
        known
    }

    /// The token of the publication that came back.
    pub(super) fn returned(&mut self, returned: &Returned) -> Option<Token> {
        let body = returned.body();
        self.ledger.returned(fingerprint(
            returned.exchange(),
            returned.routing_key(),
            body.pieces(),
        ))
    }

    // ---- the road up

    pub(super) fn deliver(&mut self, content: Content) {
        let Some(deliver) = content.deliver() else { return };
        let Deliver { delivery_tag: tag, redelivered, consumer_tag, .. } = deliver;
        let found = self.consumers.iter_mut().find(|c| c.request.consumer_tag == consumer_tag);
        let Some(consumer) = found else {
            // Cancelled meanwhile: back to the queue it came from.
            self.unacked.delivered(tag);
            self.unacked.answer(tag, Answer::Reject { requeue: true });
            return;
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
            return;
        }
        let delivery = Delivery::new(content, (tag, redelivered), acker);
        let answer = match consumer.sink.deliver(delivery) {
            Disposition::AckSoon if !no_ack && self.prefetch == 0 => {
                return self.unacked.ack_soon(tag);
            }
            Disposition::Ack | Disposition::AckSoon => Answer::Ack,
            Disposition::Reject { requeue } => Answer::Reject { requeue },
            Disposition::Later => return,
        };
        if !no_ack {
            self.unacked.answer(tag, answer);
        }
    }

    /// True when acknowledgements are to leave now.
    pub(super) fn has_answers(&self) -> bool {
        (self.flowing && self.unacked.is_pressing()) || self.shared.acks.is_filled()
    }

    /// True when there are some, also such as may wait.
    pub(super) fn owes_answers(&self) -> bool {
        (self.flowing && self.unacked.owes()) || self.shared.acks.is_filled()
    }

    /// What may wait has waited.
    pub(super) fn press(&mut self) {
        self.unacked.press();
    }

    /// Writes the acknowledgements owed.
    pub(super) fn write_answers(&mut self, out: &mut Vec<u8>) {
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

    /// The channel ended by a mistake of its own: nothing unconfirmed is sent again, because it may
    /// be what ended it.
    pub(super) fn interrupt(&mut self, error: &Error, outcomes: &mut Vec<(Token, Outcome)>) {
        self.new_epoch();
        for consumer in &self.consumers {
            consumer.shared.waits(error);
        }
        let mut freed = 0;
        self.ledger.reset(|records, shelf| {
            freed += shelf.borrow().size;
            let lost = records.iter().filter(|record| !record.settled && record.token != 0);
            outcomes.extend(lost.map(|r| (r.token, Outcome::MaybeSent(error.clone()))));
        });
        self.shared.outbox.release(freed);
    }

    /// The connection was lost: what may be sent again is, before anything newer; the rest is
    /// `MaybeSent`. What no byte of was handed to the kernel may always be sent.
    pub(super) fn connection_lost(&mut self, error: &Error, outcomes: &mut Vec<(Token, Outcome)>) {
        self.new_epoch();
        let mut survivors = Segment::default();
        let mut freed = 0;
        self.ledger.reset(|records, shelf| {
            let Kept { segment, size, written, .. } = shelf.take();
            freed += size;
            let mut start = 0;
            for (index, record) in records.iter().enumerate() {
                let untouched = start >= written;
                start = record.end as usize;
                match &segment {
                    _ if record.settled => {}
                    Some(segment) if record.retain || untouched => {
                        survivors.push_from(segment, &records, index);
                    }
                    _ if record.token != 0 => {
                        outcomes.push((record.token, Outcome::MaybeSent(error.clone())));
                    }
                    _ => {}
                }
            }
        });
        let resends = survivors.records.len() as u64;
        self.shared.connection.resends.fetch_add(resends, Ordering::Relaxed);
        self.shared.outbox.send_again(survivors);
        self.shared.outbox.release(freed);
    }

    /// Changes when the channel is closed on the wire, and with it whatever is under way on it.
    pub(super) fn epoch(&self) -> u32 {
        self.epoch
    }

    fn new_epoch(&mut self) {
        self.epoch += 1;
        self.shared.acks.begin(self.epoch);
        self.flowing = false;
        self.unacked = Unacked::default();
    }

    /// Closed for good: what never left was not sent, what left may have been.
    pub(super) fn close(&mut self, error: &Error, outcomes: &mut Vec<(Token, Outcome)>) {
        self.interrupt(error, outcomes);
        // The segment they are in does not come back here.
        let refused = self.refused.drain(..);
        outcomes.extend(refused.map(|(token, _)| (token, Outcome::Nacked(None))));
        let (waiting, resend) = self.shared.outbox.close(error.clone());
        let unsent = |record: &Record| {
            (record.token != 0 && !record.settled)
                .then(|| (record.token, Outcome::NotSent(error.clone())))
        };
        outcomes.extend(waiting.records.iter().filter_map(unsent));
        let unknown = resend.records.iter().filter(|record| record.token != 0 && !record.settled);
        outcomes.extend(unknown.map(|r| (r.token, Outcome::MaybeSent(error.clone()))));
    }
}

/// The end of a refused publication that may be sent again.
#[cold]
fn given_back(segment: &Segment, at: Range<u32>) -> Outcome {
    Outcome::Nacked(Some(Box::new(unframe(segment, at))))
}

/// A shard that ends, however it ends, leaves no publisher waiting for room.
impl Drop for Seat {
    fn drop(&mut self) {
        self.shared.outbox.close(Error::stopped());
    }
}
