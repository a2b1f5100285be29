//! Verdicts: the outcome of each request against what is promised of it.
//!
//! Invariant: a verdict is a pure function of the ledger and of what was done to the brokers. Not
//! here: sums over runs, and the promises (`record`).

use std::collections::BTreeMap;
use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use crate::chaos::ledger::{Ledger, Request};
use crate::chaos::protocol::OK;
use crate::chaos::scheduling_delay::{SchedulingDelay, SchedulingDelays};
use crate::chaos::stream::{Consumer, Id, Stream, WorkerNumber};

/// Tolerance after the deadline of a call.
pub(crate) const LATE_AFTER_US: u64 = 50_000;

/// Longest time from the deletion of a queue to the report of a confirm from before it.
const CONFIRMED_WITHIN_US: u64 = 1_000_000;

/// A message was not in the queue any more if messages sent this much later had been executed.
const OVERTAKEN_BY_US: u64 = 2_000_000;

/// Outcomes that exclude an execution.
const CERTAINLY_NOT: [&str; 2] = ["NotSent", "Refused"];

/// What verdicts depend on beside the requests.
#[derive(Clone, Debug, Default)]
pub(crate) struct Conditions {
    pub(crate) timeout_us: u64,
    /// Deletions of queues by the operator.
    pub(crate) deletions: Vec<QueueDeletion>,
    /// Scheduling delays of the processes.
    pub(crate) delays: SchedulingDelays,
}

/// A deletion of queues by the operator.
#[derive(Clone, Debug)]
pub(crate) struct QueueDeletion {
    /// Time after the deletion.
    pub(crate) until_us: u64,
    /// For each consumer whose queue was deleted: when the last of the messages executed by then
    /// was sent. Messages sent long before had left the queue.
    pub(crate) consumers: BTreeMap<Consumer, u64>,
}

impl QueueDeletion {
    /// A deletion of these consumers' queues.
    pub(crate) fn of(consumers: &[Consumer], until_us: u64) -> Self {
        Self { until_us, consumers: consumers.iter().map(|consumer| (*consumer, 0)).collect() }
    }

    /// Takes an execution into account.
    fn note(&mut self, consumer: Consumer, request: &Request) {
        let is_before = request.executions > 0 && request.executed_us <= self.until_us;
        if let Some(latest) = self.consumers.get_mut(&consumer).filter(|_| is_before) {
            *latest = request.begun_us.max(*latest);
        }
    }

    /// Whether a message without an execution may have been in the queue.
    fn covers(&self, consumer: Consumer, request: &Request) -> bool {
        let Some((latest, end)) = self.consumers.get(&consumer).zip(request.end) else {
            return false;
        };
        request.begun_us <= self.until_us
            && end.at_us <= self.until_us + CONFIRMED_WITHIN_US
            && request.begun_us + OVERTAKEN_BY_US >= *latest
    }
}

/// Sums over requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counts {
    pub(crate) sent: u64,
    /// Requests that succeeded for their senders: confirmed, answered, or accepted into the outbox.
    pub(crate) ok: u64,
    /// Requests that failed for their senders.
    pub(crate) failed: u64,
    /// Requests whose client was killed before it reported their outcome.
    pub(crate) untold: u64,
    /// Requests executed at least once.
    pub(crate) executed: u64,
    /// Calls that were answered.
    pub(crate) answered: u64,
    /// Calls that were executed and failed for their callers.
    pub(crate) unanswered: u64,
    /// At-least-once messages confirmed on quorum queues and never executed.
    pub(crate) lost: u64,
    /// The same on durable classic queues, which are unavailable without their node.
    pub(crate) lost_classic: u64,
    /// Messages confirmed or accepted and never executed, of streams without a promise: at most
    /// once, buffered, fanouts.
    pub(crate) lost_unpromised: u64,
    /// Messages that were in a queue that the operator deleted.
    pub(crate) erased: u64,
    /// Executions beyond the first of at-most-once requests.
    pub(crate) twice_once: u64,
    /// Executions beyond the first of other requests; of a fanout by the same server.
    pub(crate) twice: u64,
    /// Calls that ended more than 50 ms after their deadline.
    pub(crate) late: u64,
    /// Casts and notifications that ended that late.
    pub(crate) late_others: u64,
    /// Latest end after a deadline, in microseconds, without scheduling delays.
    pub(crate) latest_us: u64,
    /// Requests executed although their outcome excludes that.
    pub(crate) contradicted: u64,
    /// Requests executed although the broker returned or refused them, which may be true of the
    /// last of several attempts.
    pub(crate) returned_executed: u64,
    /// Errors that senders got.
    pub(crate) errors: BTreeMap<String, u64>,
}

impl Counts {
    /// Counts one request.
    pub(crate) fn add(
        &mut self,
        id: Id,
        request: &Request,
        entries: &Ledger,
        conditions: &Conditions,
    ) {
        let stream = id.stream;
        self.sent += 1;
        let is_executed = request.executions > 0;
        self.executed += u64::from(is_executed);
        let surplus = match stream {
            Stream::Fanout => request.surplus_of_each(),
            _ => request.executions.saturating_sub(1),
        };
        match stream.is_at_most_once() {
            true => self.twice_once += u64::from(surplus),
            false => self.twice += u64::from(surplus),
        }
        self.add_end(id, request, entries, conditions);
    }

    fn add_end(&mut self, id: Id, request: &Request, entries: &Ledger, conditions: &Conditions) {
        let stream = id.stream;
        let is_executed = request.executions > 0;
        let Some(label) = entries.label_of(request) else {
            self.untold += 1;
            return;
        };
        let late_us = conditions.late_us(id.worker, request);
        self.latest_us = self.latest_us.max(late_us);
        if late_us > LATE_AFTER_US {
            match stream.is_call() {
                true => self.late += 1,
                false => self.late_others += 1,
            }
        }
        if label == OK {
            self.ok += 1;
            self.answered += u64::from(stream.is_call());
            if !is_executed && !stream.is_call() {
                *self.loss(stream, request, conditions) += 1;
            }
            return;
        }
        self.failed += 1;
        *self.errors.entry(label.to_owned()).or_default() += 1;
        if is_executed {
            let outcome = label.split_once('/').map_or("", |(_, outcome)| outcome);
            self.unanswered += u64::from(stream.is_call());
            // A message published once was returned once.
            let is_contradiction = CERTAINLY_NOT.contains(&outcome)
                || outcome == "Returned" && stream.is_at_most_once();
            self.contradicted += u64::from(is_contradiction);
            let may_be = !is_contradiction && matches!(outcome, "Returned" | "Nacked");
            self.returned_executed += u64::from(may_be);
        }
    }

    /// The counter of a successful message that was never executed.
    fn loss(&mut self, stream: Stream, request: &Request, conditions: &Conditions) -> &mut u64 {
        let consumer = stream.consumer();
        if conditions.deletions.iter().any(|deletion| deletion.covers(consumer, request)) {
            return &mut self.erased;
        }
        match stream {
            Stream::Cast | Stream::Notification => &mut self.lost,
            Stream::ClassicCast | Stream::ClassicNotification => &mut self.lost_classic,
            _ => &mut self.lost_unpromised,
        }
    }

    /// Whether a request was lost, executed twice, late, or reported falsely.
    pub(crate) const fn breaks_a_promise(&self) -> bool {
        self.lost + self.twice_once + self.late + self.contradicted > 0
    }
}

impl AddAssign<&Self> for Counts {
    fn add_assign(&mut self, other: &Self) {
        self.sent += other.sent;
        self.ok += other.ok;
        self.failed += other.failed;
        self.untold += other.untold;
        self.executed += other.executed;
        self.answered += other.answered;
        self.unanswered += other.unanswered;
        self.lost += other.lost;
        self.lost_classic += other.lost_classic;
        self.lost_unpromised += other.lost_unpromised;
        self.erased += other.erased;
        self.twice_once += other.twice_once;
        self.twice += other.twice;
        self.late += other.late;
        self.late_others += other.late_others;
        self.latest_us = self.latest_us.max(other.latest_us);
        self.contradicted += other.contradicted;
        self.returned_executed += other.returned_executed;
        for (label, count) in &other.errors {
            *self.errors.entry(label.clone()).or_default() += count;
        }
    }
}

impl Conditions {
    /// Takes the executions before the deletions into account.
    pub(crate) fn note_executions(&mut self, entries: &Ledger) {
        for (id, request) in entries.requests() {
            let consumer = id.stream.consumer();
            self.deletions.iter_mut().for_each(|deletion| deletion.note(consumer, request));
        }
    }

    /// How long after its deadline a request ended, without the scheduling delays of its client.
    fn late_us(&self, client: WorkerNumber, request: &Request) -> u64 {
        let Some(end) = request.end else { return 0 };
        let deadline = request.begun_us + self.timeout_us;
        let late = end.at_us.saturating_sub(deadline);
        if late <= LATE_AFTER_US {
            return late;
        }
        let delays = self.delays.get(&client).map_or(&[][..], Vec::as_slice);
        // Delays are in the order of time.
        let first = delays.partition_point(|delay| delay.to_us < deadline);
        let meanwhile = delays[first..]
            .iter()
            .take_while(|delay: &&SchedulingDelay| delay.from_us <= end.at_us);
        late.saturating_sub(meanwhile.map(|delay| delay.waited_us).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chaos::ledger::SharedLedger;
    use crate::chaos::protocol::WorkerMessage;
    use crate::chaos::stream::Id;

    const S: u64 = 1_000_000;

    /// Counts of requests of a stream, given as begin, end, label, and the servers that executed
    /// it.
    fn counts(
        stream: Stream,
        requests: &[(u64, u64, &str, &[u32])],
        conditions: &Conditions,
    ) -> Counts {
        let ledger = SharedLedger::default();
        for (number, (begun, at, label, servers)) in (0..).zip(requests) {
            let id = Id { worker: 9, stream, number }.to_number();
            ledger.record(9, WorkerMessage::Ended(vec![(id, *begun, *at, (*label).to_owned())]));
            for server in *servers {
                ledger.record(*server, WorkerMessage::Executed(vec![(id, *begun, *at)]));
            }
        }
        let entries = ledger.into_ledger();
        let mut conditions = conditions.clone();
        conditions.note_executions(&entries);
        let mut counts = Counts::default();
        for (id, request) in entries.requests() {
            counts.add(id, request, &entries, &conditions);
        }
        counts
    }

    fn conditions() -> Conditions {
        Conditions { timeout_us: 5 * S, ..Conditions::default() }
    }

    #[test]
    fn a_confirmed_message_that_nobody_executes_is_lost_where_that_is_promised() {
        let lost = |stream| {
            let counts =
                counts(stream, &[(S, 2 * S, OK, &[]), (S, 2 * S, OK, &[1])], &conditions());
            (counts.lost, counts.lost_classic, counts.lost_unpromised)
        };
        assert_eq!(lost(Stream::Cast), (1, 0, 0));
        assert_eq!(lost(Stream::Notification), (1, 0, 0));
        assert_eq!(lost(Stream::ClassicCast), (0, 1, 0));
        assert_eq!(lost(Stream::ClassicNotification), (0, 1, 0));
        for stream in [Stream::CastOnce, Stream::CastBuffered, Stream::Fanout] {
            assert_eq!(lost(stream), (0, 0, 1), "{stream:?}");
        }
        let failed =
            counts(Stream::Cast, &[(S, S, "MessagingTimeout/MaybeSent", &[])], &conditions());
        assert_eq!((failed.lost, failed.failed, failed.breaks_a_promise()), (0, 1, false));
    }

    #[test]
    fn what_the_operator_deleted_is_not_lost() {
        let deletion = QueueDeletion::of(&[Consumer::Requests], 10 * S);
        let conditions = Conditions { deletions: vec![deletion], ..conditions() };
        let requests = [
            (9 * S, 9 * S, OK, &[][..]),
            (9 * S, 11 * S, OK, &[]),
            // Confirmed long after the deletion, and sent after it.
            (9 * S, 12 * S, OK, &[]),
            (10 * S + 1, 10 * S + 2, OK, &[]),
            // Not in the queue any more: a message sent long after it had been executed.
            (5 * S, 5 * S, OK, &[]),
            (8 * S, 8 * S, OK, &[1]),
        ];
        let requests = counts(Stream::Cast, &requests, &conditions);
        assert_eq!((requests.erased, requests.lost), (2, 3));
        let others = counts(Stream::Notification, &[(9 * S, 9 * S, OK, &[])], &conditions);
        assert_eq!((others.erased, others.lost), (0, 1), "another queue");
    }

    #[test]
    fn what_is_sent_at_most_once_may_not_be_executed_twice() {
        let twice = |stream| {
            let counts = counts(stream, &[(S, S, OK, &[1, 2]), (S, S, OK, &[1])], &conditions());
            (counts.twice_once, counts.twice, counts.breaks_a_promise())
        };
        assert_eq!(twice(Stream::CastOnce), (1, 0, true));
        assert_eq!(twice(Stream::CallOnce), (1, 0, true));
        assert_eq!(twice(Stream::Cast), (0, 1, false));
        assert_eq!(twice(Stream::Fanout), (0, 0, false), "each server once");
    }

    #[test]
    fn a_call_may_not_end_after_its_deadline() {
        let requests =
            [(S, 6 * S + LATE_AFTER_US, OK, &[1][..]), (S, 6 * S + LATE_AFTER_US + 1, OK, &[1])];
        let calls = counts(Stream::Call, &requests, &conditions());
        assert_eq!((calls.late, calls.latest_us), (1, LATE_AFTER_US + 1));
        assert!(calls.breaks_a_promise());
        let casts = counts(Stream::Cast, &requests, &conditions());
        assert_eq!((casts.late, casts.late_others), (0, 1));
        // Its threads were delayed by 1 ms then, and for longer before and afterwards.
        let delay =
            |from_us, waited_us| SchedulingDelay { from_us, to_us: from_us + 50_000, waited_us };
        let delays = vec![delay(5 * S, 50_000), delay(6 * S, 1_000), delay(7 * S, 50_000)];
        let delays = SchedulingDelays::from([(9, delays)]);
        let excused = counts(Stream::Call, &requests, &Conditions { delays, ..conditions() });
        assert_eq!((excused.late, excused.latest_us), (0, LATE_AFTER_US));
    }

    #[test]
    fn what_surely_was_not_sent_may_not_be_executed() {
        let requests = [
            (S, S, "MessageDeliveryFailure/NotSent", &[1][..]),
            (S, S, "MessageDeliveryFailure/Refused", &[1]),
            (S, S, "MessageDeliveryFailure/NotSent", &[]),
            (S, S, "MessageDeliveryFailure/MaybeSent", &[1]),
            (S, S, "MessageUndeliverable/Returned", &[1]),
        ];
        let counts = counts(Stream::Call, &requests, &conditions());
        assert_eq!((counts.contradicted, counts.returned_executed), (2, 1));
        assert_eq!((counts.failed, counts.unanswered), (5, 4));
        assert!(counts.breaks_a_promise());
        let returned = [(S, S, "MessageUndeliverable/Returned", &[1][..])];
        let counts = self::counts(Stream::CallOnce, &returned, &conditions());
        assert_eq!((counts.contradicted, counts.returned_executed), (1, 0));
    }
}
