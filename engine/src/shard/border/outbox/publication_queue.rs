//! The publications that wait in an outbox, in the order they leave: suspects, publications to send
//! again, new ones.
//!
//! Plain data; the lock, the send budget and the wakeups are in `outbox`. Invariant: a publication
//! is in one of the lists at a time.

use std::collections::VecDeque;
use std::time::Instant;

use crate::shard::border::outbox::reframe::reframe;
use crate::shard::border::outbox::segment::Segment;
use crate::shard::border::slab::Token;

#[derive(Debug, Default)]
pub(crate) struct PublicationQueue {
    /// New publications.
    pub(crate) new: Segment,
    /// How many of `new` were withdrawn. They are marked as settled and dropped by
    /// [`take`](Self::take).
    new_withdrawn: usize,
    /// Publications of a lost connection. They leave before new ones.
    resend: Segment,
    resend_withdrawn: usize,
    /// Each of these may have closed its channel, so each is sent alone.
    suspects: VecDeque<Segment>,
    /// Publications the broker refused. They are sent again later.
    delayed: Vec<Delayed>,
}

/// A refused publication, and when it is to be sent again.
#[derive(Debug)]
struct Delayed {
    publication: Segment,
    due: Instant,
}

/// What an outbox held when it was closed.
#[derive(Debug, Default)]
pub(crate) struct Remaining {
    /// Publications that were never sent.
    pub(crate) unsent: Segment,
    /// Publications that may have been sent on an earlier connection.
    pub(crate) resend: Segment,
    /// Publications that the broker refused.
    pub(crate) delayed: Vec<Segment>,
}

impl PublicationQueue {
    /// Bytes of all publications.
    #[inline]
    pub(crate) fn size(&self) -> usize {
        let suspects: usize = self.suspects.iter().map(Segment::size).sum();
        let delayed: usize = self.delayed.iter().map(|delayed| delayed.publication.size()).sum();
        self.new.size() + self.resend.size() + suspects + delayed
    }

    /// True when no publication may leave now. Delayed ones do not count.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.new.is_empty() && self.resend.is_empty() && self.suspects.is_empty()
    }

    /// True when one new publication is all that may leave now.
    #[inline]
    pub(crate) fn has_only_one_new(&self) -> bool {
        self.new.records.len() == 1 && self.resend.is_empty() && self.suspects.is_empty()
    }

    /// Number of publications that are sent alone.
    pub(crate) fn suspects(&self) -> usize {
        self.suspects.len()
    }

    /// Marks a new publication as withdrawn. Returns false if it is not among the new ones.
    pub(crate) fn withdraw_new(&mut self, token: Token) -> bool {
        let is_found = self.new.mark_settled(token);
        self.new_withdrawn += usize::from(is_found);
        is_found
    }

    /// The same for a publication that is to be sent again.
    pub(crate) fn withdraw_resend(&mut self, token: Token) -> bool {
        let is_found = self.resend.mark_settled(token);
        self.resend_withdrawn += usize::from(is_found);
        is_found
    }

    /// Removes a suspect or a delayed publication. Returns it if it was delayed.
    pub(crate) fn remove(&mut self, token: Token) -> Option<Segment> {
        self.suspects.retain(|suspect| suspect.records[0].token != token);
        let is_it = |delayed: &Delayed| delayed.publication.records[0].token == token;
        let index = self.delayed.iter().position(is_it)?;
        Some(self.delayed.swap_remove(index).publication)
    }

    /// Adds a refused publication, to be sent again when it is [due](Self::release_due).
    pub(crate) fn delay(&mut self, publication: Segment, due: Instant) {
        self.delayed.push(Delayed { publication, due });
    }

    pub(crate) fn has_delayed(&self) -> bool {
        !self.delayed.is_empty()
    }

    /// Moves refused publications that are due to those to send again. Returns when the next one is
    /// due.
    pub(crate) fn release_due(&mut self, now: Instant) -> Option<Instant> {
        let (due, later) = std::mem::take(&mut self.delayed)
            .into_iter()
            .partition::<Vec<_>, _>(|delayed| delayed.due <= now);
        self.delayed = later;
        for delayed in due {
            self.resend.append(&delayed.publication);
        }
        self.delayed.iter().map(|delayed| delayed.due).min()
    }

    /// Adds publications that are sent one at a time, before all others.
    pub(crate) fn push_suspects(&mut self, suspects: Vec<Segment>) {
        self.suspects.extend(suspects);
    }

    /// Adds publications of a lost connection. They leave before those already waiting to be sent
    /// again, because they are older.
    pub(crate) fn push_resend(&mut self, mut older: Segment) {
        older.append(&self.resend);
        self.resend = older;
    }

    /// Takes the publications that leave next and puts the empty `spare` in their place. Returns
    /// them with the number of withdrawn ones among them.
    pub(crate) fn take(&mut self, spare: Segment) -> (Segment, usize) {
        if let Some(suspect) = self.suspects.pop_front() {
            return (suspect, 0);
        }
        if self.resend.is_empty() {
            let withdrawn = std::mem::take(&mut self.new_withdrawn);
            (std::mem::replace(&mut self.new, spare), withdrawn)
        } else {
            let withdrawn = std::mem::take(&mut self.resend_withdrawn);
            (std::mem::replace(&mut self.resend, spare), withdrawn)
        }
    }

    /// Splits all bodies into frames of at most `frame_max` bytes.
    pub(crate) fn reframe(&mut self, channel: u16, frame_max: u32) {
        self.new = reframe(&self.new, channel, frame_max);
        self.resend = reframe(&self.resend, channel, frame_max);
        for suspect in &mut self.suspects {
            *suspect = reframe(suspect, channel, frame_max);
        }
        for delayed in &mut self.delayed {
            delayed.publication = reframe(&delayed.publication, channel, frame_max);
        }
    }

    /// Takes everything out.
    pub(crate) fn take_all(&mut self) -> Remaining {
        let mut resend = std::mem::take(&mut self.resend);
        for suspect in self.suspects.drain(..) {
            resend.append(&suspect);
        }
        let delayed = self.delayed.drain(..).map(|delayed| delayed.publication).collect();
        Remaining { unsent: std::mem::take(&mut self.new), resend, delayed }
    }
}
