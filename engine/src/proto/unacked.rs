//! Deliveries of one channel that are not yet acknowledged, kept so that acks can be merged into
//! `multiple`.
//!
//! The broker counts the deliveries of a channel, including those that need no acknowledgement, so
//! the open ones are a window. Invariants: a tag that does not follow the last one ends the
//! connection, so the window grows only by deliveries that arrived; each tag is acknowledged at
//! most once; a tag outside the window is ignored (acknowledging it would close the channel: 406).

use std::collections::VecDeque;

use crate::proto::error::ProtoError;
use crate::wire::hot::{Ack, Reject};

/// The consumer's decision on a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Acknowledgement {
    Ack,
    Reject { requeue: bool },
}

#[derive(Debug, Default)]
pub(crate) struct Unacked {
    /// The tag of the last delivery, 0 before the first.
    last: u64,
    /// The last delivery needs no acknowledgement, so its tag may come again.
    last_was_no_ack: bool,
    first: u64,
    window: VecDeque<Slot>,
    /// Tags that are acknowledged and not yet written, in the order of their acknowledgements.
    pending: Vec<u64>,
    /// Pending acknowledgements must not be deferred any longer.
    must_flush: bool,
}

/// Limit of deferred acknowledgements.
const DEFERRED_MAX: usize = 64;

#[derive(Clone, Copy, Debug)]
enum Slot {
    Open,
    Pending(Acknowledgement),
    /// Written, or a delivery of a consumer that acknowledges nothing.
    Done,
}

impl Unacked {
    /// Checks the tag of a delivery that has arrived, whether it needs an acknowledgement or not.
    ///
    /// # Errors
    /// `TagOutOfOrder`, unless the tag follows that of the last delivery. RabbitMQ before 4.2 does
    /// not count direct replies, which need no acknowledgement, and uses their tag again.
    pub(crate) fn arrived(&mut self, tag: u64, no_ack: bool) -> Result<(), ProtoError> {
        let last = self.last;
        if tag.checked_sub(1) != Some(last) && !(self.last_was_no_ack && tag == last) {
            return Err(ProtoError::TagOutOfOrder { tag, last });
        }
        (self.last, self.last_was_no_ack) = (tag, no_ack);
        Ok(())
    }

    /// Adds a delivery that needs an acknowledgement.
    pub(crate) fn delivered(&mut self, tag: u64) {
        if self.window.is_empty() {
            self.first = tag;
        }
        // Deliveries of `no_ack` consumers on the same channel leave holes.
        while self.first + (self.window.len() as u64) < tag {
            self.window.push_back(Slot::Done);
        }
        self.window.push_back(Slot::Open);
    }

    /// Returns true if an acknowledgement waits to be written.
    pub(crate) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Returns true if a pending acknowledgement must not be deferred.
    pub(crate) fn must_flush(&self) -> bool {
        self.must_flush
    }

    /// Stops deferring the pending acknowledgements.
    pub(crate) fn stop_deferring(&mut self) {
        self.must_flush = self.has_pending();
    }

    /// Records an acknowledgement; returns false if the tag is not open (acknowledged before, or of
    /// an older epoch).
    pub(crate) fn acknowledge(&mut self, tag: u64, acknowledgement: Acknowledgement) -> bool {
        let is_open = self.record(tag, acknowledgement);
        self.must_flush |= is_open;
        is_open
    }

    /// Records an ack that may be deferred until another one must not wait, [`DEFERRED_MAX`] are
    /// pending, or half of the deliveries that a `prefetch` allows: then the broker goes on sending
    /// meanwhile. A prefetch of 0 is no limit.
    pub(crate) fn ack_deferred(&mut self, tag: u64, prefetch: u16) {
        self.record(tag, Acknowledgement::Ack);
        let limit = match prefetch {
            0 => DEFERRED_MAX,
            prefetch => DEFERRED_MAX.min(usize::from(prefetch).div_ceil(2)),
        };
        self.must_flush |= self.pending.len() >= limit;
    }

    fn record(&mut self, tag: u64, acknowledgement: Acknowledgement) -> bool {
        let Some(index) = tag.checked_sub(self.first) else { return false };
        match self.window.get_mut(index as usize) {
            Some(slot @ Slot::Open) => {
                *slot = Slot::Pending(acknowledgement);
                self.pending.push(tag);
                true
            }
            _ => false,
        }
    }

    /// Writes the pending acknowledgements: one `multiple` for a run of acks at the front, single
    /// ones behind a delivery that is still open.
    pub(crate) fn write(&mut self, channel: u16, out: &mut Vec<u8>) {
        self.must_flush = false;
        if self.pending.is_empty() {
            return;
        }
        let mut run = None;
        while let Some(&slot) = self.window.front() {
            match slot {
                Slot::Open => break,
                Slot::Pending(Acknowledgement::Ack) => run = Some(self.first),
                Slot::Pending(Acknowledgement::Reject { requeue }) => {
                    ack_through(run.take(), channel, out);
                    Reject { delivery_tag: self.first, requeue }.encode_frame(channel, out);
                }
                Slot::Done => {}
            }
            self.window.pop_front();
            self.first += 1;
        }
        ack_through(run, channel, out);
        for tag in self.pending.drain(..) {
            let Some(index) = tag.checked_sub(self.first) else { continue };
            let slot = &mut self.window[index as usize];
            if let Slot::Pending(acknowledgement) = *slot {
                *slot = Slot::Done;
                match acknowledgement {
                    Acknowledgement::Ack => {
                        Ack { delivery_tag: tag, multiple: false }.encode_frame(channel, out);
                    }
                    Acknowledgement::Reject { requeue } => {
                        Reject { delivery_tag: tag, requeue }.encode_frame(channel, out);
                    }
                }
            }
        }
    }
}

fn ack_through(tag: Option<u64>, channel: u16, out: &mut Vec<u8>) {
    if let Some(delivery_tag) = tag {
        Ack { delivery_tag, multiple: true }.encode_frame(channel, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{FrameView, HotMethod, Parsed};

    fn written(unacked: &mut Unacked) -> Vec<String> {
        let mut out = Vec::new();
        unacked.write(1, &mut out);
        let (mut rest, mut seen) = (&out[..], Vec::new());
        while let Parsed::Complete { frame, used } = FrameView::parse(rest, 4096).unwrap() {
            seen.push(match HotMethod::parse(frame.payload).unwrap().unwrap() {
                HotMethod::Ack(ack) if ack.multiple => format!("ack..{}", ack.delivery_tag),
                HotMethod::Ack(ack) => format!("ack {}", ack.delivery_tag),
                HotMethod::Reject(no) => format!("reject {}", no.delivery_tag),
                other => panic!("{other:?}"),
            });
            rest = &rest[used..];
        }
        seen
    }

    #[test]
    fn a_contiguous_prefix_is_written_as_one_multiple_ack() {
        let mut unacked = Unacked::default();
        (1..=5).for_each(|tag| unacked.delivered(tag));
        for tag in [2, 1, 3, 5] {
            assert!(unacked.acknowledge(tag, Acknowledgement::Ack));
        }
        assert!(!unacked.acknowledge(2, Acknowledgement::Ack), "once only");
        assert_eq!(written(&mut unacked), ["ack..3", "ack 5"]);
        assert!(unacked.acknowledge(4, Acknowledgement::Reject { requeue: true }));
        assert_eq!(written(&mut unacked), ["reject 4"]);
        assert!(!unacked.has_pending());
        assert!(!unacked.acknowledge(5, Acknowledgement::Ack));
        assert!(written(&mut unacked).is_empty());
    }

    #[test]
    fn delivery_tags_must_count_up_by_one() {
        let after = |arrivals: &[(u64, bool)], tag| {
            let mut unacked = Unacked::default();
            for &(tag, no_ack) in arrivals {
                unacked.arrived(tag, no_ack).unwrap();
            }
            unacked.arrived(tag, false)
        };
        assert_eq!(after(&[], 1), Ok(()));
        assert_eq!(after(&[(1, false), (2, true), (3, false)], 4), Ok(()));
        for tag in [0, 1, 3, 1 << 40, u64::MAX] {
            let error = ProtoError::TagOutOfOrder { tag, last: 1 };
            assert_eq!(after(&[(1, false)], tag), Err(error));
        }
        assert_eq!(after(&[], 0), Err(ProtoError::TagOutOfOrder { tag: 0, last: 0 }));
        let direct_replies = [(1, true), (1, true), (1, false), (2, true), (2, true)];
        assert_eq!(after(&direct_replies, 2), Ok(()));
        assert_eq!(after(&direct_replies, 3), Ok(()));
        assert_eq!(after(&direct_replies, 1), Err(ProtoError::TagOutOfOrder { tag: 1, last: 2 }));
    }

    #[test]
    fn deferred_acks_are_written_together() {
        let mut unacked = Unacked::default();
        (1..=200).for_each(|tag| unacked.delivered(tag));
        unacked.ack_deferred(1, 0);
        unacked.ack_deferred(2, 0);
        assert!(unacked.has_pending() && !unacked.must_flush());
        unacked.acknowledge(3, Acknowledgement::Reject { requeue: true });
        assert!(unacked.must_flush());
        assert_eq!(written(&mut unacked), ["ack..2", "reject 3"]);
        assert!(!unacked.has_pending() && !unacked.must_flush());
        unacked.ack_deferred(4, 0);
        unacked.stop_deferring();
        assert_eq!((unacked.must_flush(), written(&mut unacked)), (true, vec!["ack..4".into()]));
        unacked.stop_deferring();
        assert!(!unacked.must_flush(), "nothing is pending");
        let kept = DEFERRED_MAX as u64;
        (5..4 + kept).for_each(|tag| unacked.ack_deferred(tag, 0));
        unacked.ack_deferred(5, 0);
        assert!(!unacked.must_flush(), "one is missing, and no tag counts twice");
        unacked.ack_deferred(4 + kept, 0);
        assert!(unacked.must_flush(), "enough for a packet");
    }

    /// The broker has room to send the other half meanwhile.
    #[test]
    fn half_of_a_prefetch_is_deferred_at_most() {
        for (prefetch, deferred) in [(1, 0), (2, 0), (3, 1), (10, 4), (1000, DEFERRED_MAX - 1)] {
            let mut unacked = Unacked::default();
            (1..=200).for_each(|tag| unacked.delivered(tag));
            let tags = 1..=200;
            let waits = |tag: &u64| {
                unacked.ack_deferred(*tag, prefetch);
                !unacked.must_flush()
            };
            assert_eq!(tags.take_while(waits).count(), deferred, "{prefetch}");
        }
    }

    #[test]
    fn a_rejection_splits_a_run_of_acks_and_holes_do_not() {
        let mut unacked = Unacked::default();
        [1, 2, 5, 6].into_iter().for_each(|tag| unacked.delivered(tag));
        unacked.acknowledge(1, Acknowledgement::Ack);
        unacked.acknowledge(2, Acknowledgement::Reject { requeue: false });
        unacked.acknowledge(5, Acknowledgement::Ack);
        unacked.acknowledge(6, Acknowledgement::Ack);
        assert_eq!(written(&mut unacked), ["ack..1", "reject 2", "ack..6"]);
        assert!(!unacked.acknowledge(3, Acknowledgement::Ack), "a hole is nobody's");
    }
}
