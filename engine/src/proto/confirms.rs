//! The ledger of publisher confirms of one channel.
//!
//! The broker numbers publications in order from 1, so the outstanding ones are a window of tags.
//! The ledger stores them as *runs*: the records of one buffer that was handed to the socket, with
//! what is needed to send them again (`P`). A `multiple` ack covers a prefix of the window.
//! Invariant: a record leaves the ledger exactly once. The tickets handle timeouts; the shard
//! handles the buffers.

use std::collections::VecDeque;
use std::ops::Range;

/// One publication in an outbox buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// Where its bytes end in the buffer.
    pub(crate) end: u32,
    /// Fingerprint of a mandatory publication (exchange, key and body), which identifies it when
    /// the broker returns it.
    pub(crate) fingerprint: u32,
    /// The ticket that waits for the outcome; 0 if none does.
    pub(crate) token: u64,
    pub(crate) mandatory: bool,
    /// Send it again on a new connection until it is confirmed.
    pub(crate) retain: bool,
    pub(crate) settled: bool,
    /// Number of times it was sent again because the broker refused it.
    pub(crate) retries: u8,
    /// It was sent before, and a queue may have it.
    pub(crate) maybe_taken: bool,
}

/// A confirmed or refused publication, as it leaves the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settled {
    pub(crate) record: Record,
    pub(crate) ack: bool,
    /// Its range of bytes in the buffer.
    pub(crate) at: Range<u32>,
}

#[derive(Debug)]
struct Run<P> {
    first: u64,
    records: Vec<Record>,
    open: usize,
    buffer: P,
}

/// The ledger; `P` is the part of the buffer that a run keeps.
#[derive(Debug)]
pub(crate) struct Ledger<P> {
    runs: VecDeque<Run<P>>,
    next: u64,
    mandatory: usize,
}

impl<P> Ledger<P> {
    pub(crate) fn new() -> Self {
        Self { runs: VecDeque::new(), next: 1, mandatory: 0 }
    }

    /// Returns the data of the oldest run that has an unconfirmed publication.
    pub(crate) fn oldest(&self) -> Option<&P> {
        self.runs.front().map(|run| &run.buffer)
    }

    /// Returns the tag of the last publication, 0 before the first.
    pub(crate) fn last(&self) -> u64 {
        self.next - 1
    }

    /// Returns the number of unconfirmed publications.
    pub(crate) fn outstanding(&self) -> usize {
        self.runs.iter().map(|run| run.open).sum()
    }

    /// Returns true if an unconfirmed publication must not be sent again.
    pub(crate) fn has_unrepeatable(&self) -> bool {
        let mut open = self.runs.iter().filter(|run| run.open > 0);
        open.any(|run| run.records.iter().any(|record| !record.settled && !record.retain))
    }

    /// Adds the records of a buffer that is about to be sent.
    pub(crate) fn absorb(&mut self, records: Vec<Record>, buffer: P) {
        if records.is_empty() {
            return;
        }
        self.mandatory += records.iter().filter(|record| record.mandatory).count();
        let first = self.next;
        self.next += records.len() as u64;
        self.runs.push_back(Run { first, open: records.len(), records, buffer });
    }

    /// Handles an ack or nack of the broker. Calls `each` for every publication that it settles,
    /// with the data of its run, and `done` with every run that is completely settled. Returns
    /// false if the tag was never published.
    pub(crate) fn settle(
        &mut self,
        tag: u64,
        multiple: bool,
        ack: bool,
        mut each: impl FnMut(Settled, &P),
        mut done: impl FnMut(Vec<Record>, P),
    ) -> bool {
        // AMQP 1.8.3.13 and RabbitMQ: tag zero with `multiple` means all outstanding publications.
        let last = if tag == 0 && multiple { self.next - 1 } else { tag };
        if last == 0 || last >= self.next {
            return last == 0 && multiple;
        }
        for run in &mut self.runs {
            if run.first > last {
                break;
            }
            let from = if multiple { 0 } else { last - run.first };
            if from >= run.records.len() as u64 {
                continue;
            }
            let to = (last - run.first + 1).min(run.records.len() as u64);
            let (before, rest) = run.records.split_at_mut(from as usize);
            let mut start = before.last().map_or(0, |record| record.end);
            for record in &mut rest[..(to - from) as usize] {
                let at = std::mem::replace(&mut start, record.end)..record.end;
                if !record.settled {
                    run.open -= 1;
                    self.mandatory -= usize::from(record.mandatory);
                    each(Settled { record: *record, ack, at }, &run.buffer);
                    record.settled = true;
                }
            }
        }
        while self.runs.front().is_some_and(|run| run.open == 0) {
            let run = self.runs.pop_front().expect("just looked");
            done(run.records, run.buffer);
        }
        true
    }

    /// Handles a `basic.return`, which carries no tag and precedes its ack: it belongs to the
    /// oldest outstanding mandatory publication with this fingerprint. Returns its token; the ack
    /// that follows then reports nothing.
    pub(crate) fn returned(&mut self, fingerprint: u32) -> Option<u64> {
        if self.mandatory == 0 {
            return None;
        }
        let record = self
            .runs
            .iter_mut()
            .flat_map(|run| &mut run.records)
            .find(|r| r.mandatory && !r.settled && r.fingerprint == fingerprint)?;
        record.mandatory = false;
        self.mandatory -= 1;
        Some(std::mem::take(&mut record.token))
    }

    /// The connection or channel is gone: removes every run, oldest first, and counts tags from 1
    /// again.
    pub(crate) fn reset(&mut self, mut each: impl FnMut(Vec<Record>, P)) {
        for run in self.runs.drain(..) {
            each(run.records, run.buffer);
        }
        self.next = 1;
        self.mandatory = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(token: u64) -> Record {
        Record {
            end: 0,
            fingerprint: 7,
            token,
            mandatory: false,
            retain: false,
            settled: false,
            retries: 0,
            maybe_taken: false,
        }
    }

    fn settle(ledger: &mut Ledger<u8>, tag: u64, multiple: bool) -> (Vec<u64>, Vec<u8>) {
        let (mut tokens, mut runs) = (Vec::new(), Vec::new());
        let known = ledger.settle(
            tag,
            multiple,
            true,
            |s, _| tokens.push(s.record.token),
            |_, p| runs.push(p),
        );
        assert!(known);
        (tokens, runs)
    }

    #[test]
    fn a_multiple_ack_settles_a_prefix_across_runs() {
        let mut ledger = Ledger::new();
        ledger.absorb(vec![record(11), record(12)], 1);
        ledger.absorb(vec![record(13), record(14)], 2);
        assert_eq!(settle(&mut ledger, 2, false), (vec![12], vec![]));
        assert_eq!(settle(&mut ledger, 3, true), (vec![11, 13], vec![1]));
        assert_eq!(ledger.outstanding(), 1);
        assert_eq!(settle(&mut ledger, 0, true), (vec![14], vec![2]), "zero means all");
        assert_eq!(settle(&mut ledger, 4, false), (vec![], vec![]), "twice changes nothing");
    }

    #[test]
    fn a_settled_publication_reports_its_range_in_the_buffer() {
        let mut ledger = Ledger::new();
        let records = [(1, 10), (2, 30), (3, 60)];
        ledger.absorb(records.map(|(token, end)| Record { end, ..record(token) }).into(), 'a');
        let mut seen = Vec::new();
        for tag in [2, 3] {
            let each = |s: Settled, kept: &char| seen.push((s.record.token, s.ack, s.at, *kept));
            assert!(ledger.settle(tag, tag == 3, false, each, |_, _| {}));
        }
        assert_eq!(
            seen,
            [(2, false, 10..30, 'a'), (1, false, 0..10, 'a'), (3, false, 30..60, 'a')]
        );
    }

    #[test]
    fn a_tag_never_published_is_unknown() {
        let mut ledger: Ledger<()> = Ledger::new();
        assert!(!ledger.settle(1, false, true, |_, ()| {}, |_, ()| {}));
        assert!(!ledger.settle(0, false, true, |_, ()| {}, |_, ()| {}));
        assert!(ledger.settle(0, true, true, |_, ()| {}, |_, ()| {}));
    }

    #[test]
    fn a_return_belongs_to_the_oldest_mandatory_publication_of_its_fingerprint() {
        let mut ledger = Ledger::new();
        let mandatory = |token| Record { mandatory: true, ..record(token) };
        ledger.absorb(vec![record(1), mandatory(2), mandatory(3)], ());
        assert_eq!(ledger.returned(8), None);
        assert_eq!(ledger.returned(7), Some(2));
        assert_eq!(ledger.returned(7), Some(3));
        assert_eq!(ledger.returned(7), None);
        let mut tokens = Vec::new();
        ledger.settle(3, true, true, |s, ()| tokens.push(s.record.token), |_, ()| {});
        assert_eq!(tokens, [1, 0, 0], "the acks after a return are silent");
    }

    #[test]
    fn a_reset_removes_the_runs_in_order() {
        let mut ledger = Ledger::new();
        ledger.absorb(vec![record(1)], 'a');
        ledger.absorb(vec![record(2)], 'b');
        let mut kept = Vec::new();
        ledger.reset(|_, p| kept.push(p));
        assert_eq!(kept, ['a', 'b']);
        ledger.absorb(vec![record(3)], 'c');
        let mut tokens = Vec::new();
        ledger.settle(1, false, true, |s, _| tokens.push(s.record.token), |_, _| {});
        assert_eq!(tokens, [3], "a new epoch counts from one");
    }
}
