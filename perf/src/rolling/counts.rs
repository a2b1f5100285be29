//! Sums of a phase, or of all phases, over the ledger and over the counters of transports.
//!
//! Plain data, as the report has it.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use hdrhistogram::Histogram;
use leveret::TransportMetrics;
use serde::Serialize;

use super::ledger::{Ledger, Request, SharedLedger};

/// Longest latency of the histogram, an hour in microseconds.
const LATENCY_MAX_US: u64 = 3_600_000_000;

/// The numbers of a phase.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Counts {
    /// Requests and notifications sent in the phase.
    pub(super) sent: u64,
    /// Of those, calls.
    pub(super) calls: u64,
    /// Calls that returned their result.
    pub(super) answered: u64,
    /// Executions; those of a fanout by each server.
    pub(super) executed: u64,
    /// Calls neither answered nor executed; casts and notifications never executed; fanouts, for
    /// each server that was there all the time and did not execute them.
    pub(super) lost: u64,
    /// Executions beyond the first by any server; of fanouts, by the same server.
    pub(super) duplicated: u64,
    /// Calls that were executed and failed for their sender.
    pub(super) unanswered: u64,
    /// Requests cut off while they were published, and not executed. At most once excludes a
    /// repetition, so they are no loss.
    pub(super) cut_off: u64,
    /// Errors that senders got.
    pub(super) errors: BTreeMap<String, u64>,
    /// Latencies of answered calls.
    pub(super) latency_us: Latency,
    pub(super) traffic: Traffic,
}

/// A lost request, for the analysis.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Lost {
    pub(super) what: String,
    /// The kind of its sender, and its outcome for the sender.
    pub(super) sender: String,
    pub(super) told: String,
    /// Milliseconds since the start of the run.
    pub(super) sent_at_ms: u64,
    /// Servers that did not execute it.
    pub(super) missing: u64,
}

impl Lost {
    /// The first lost requests.
    pub(super) fn first(ledger: &SharedLedger, entries: &Ledger, count: usize) -> Vec<Self> {
        let is_lost = |request: &&Request| {
            let is_answered = request.what.is_call() && request.is_good();
            !is_answered && entries.missing(request) > 0
        };
        let describe = |request: &Request| Self {
            what: format!("{:?}", request.what),
            sender: request.sender.to_string(),
            told: match &request.end {
                None => "nothing".to_owned(),
                Some(end) => end.result.as_ref().map_or_else(|f| f.label.clone(), |()| "ok".into()),
            },
            sent_at_ms: ledger.sent_at_ms(request),
            missing: entries.missing(request),
        };
        entries.requests.iter().filter(is_lost).take(count).map(describe).collect()
    }
}

/// Quantiles of latencies in microseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Latency {
    pub(super) p50: u64,
    pub(super) p99: u64,
    pub(super) max: u64,
}

/// Counters of Leveret's transports; Python's members have none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Traffic {
    /// Requests that were returned from the pika name and sent to the kombu name.
    pub(super) fallbacks: u64,
    /// Requests read, by their format.
    pub(super) of_kombu: u64,
    pub(super) of_pika: u64,
    pub(super) of_both: u64,
    /// Duplicates of requests and notifications that servers have dropped.
    pub(super) copies_dropped: u64,
    /// Requests refused because they were redelivered.
    pub(super) refused: u64,
    /// Requests that a server returned to their queue when it stopped.
    pub(super) returned: u64,
    /// Replies that were returned, and sent again or dropped.
    pub(super) replies_resent: u64,
    pub(super) replies_dropped: u64,
}

impl Traffic {
    /// The counters of one transport.
    pub(super) fn of(metrics: &TransportMetrics) -> Self {
        let served = &metrics.served;
        Self {
            fallbacks: metrics.fallbacks,
            of_kombu: served.of_kombu,
            of_pika: served.of_pika,
            of_both: served.of_both,
            copies_dropped: served.duplicates + metrics.heard.duplicates,
            refused: served.refused,
            returned: served.returned,
            replies_resent: metrics.replies_resent,
            replies_dropped: metrics.replies_dropped,
        }
    }

    /// The difference to an earlier reading.
    pub(super) const fn since(&self, earlier: &Self) -> Self {
        Self {
            fallbacks: self.fallbacks - earlier.fallbacks,
            of_kombu: self.of_kombu - earlier.of_kombu,
            of_pika: self.of_pika - earlier.of_pika,
            of_both: self.of_both - earlier.of_both,
            copies_dropped: self.copies_dropped - earlier.copies_dropped,
            refused: self.refused - earlier.refused,
            returned: self.returned - earlier.returned,
            replies_resent: self.replies_resent - earlier.replies_resent,
            replies_dropped: self.replies_dropped - earlier.replies_dropped,
        }
    }
}

impl AddAssign for Traffic {
    fn add_assign(&mut self, other: Self) {
        self.fallbacks += other.fallbacks;
        self.of_kombu += other.of_kombu;
        self.of_pika += other.of_pika;
        self.of_both += other.of_both;
        self.copies_dropped += other.copies_dropped;
        self.refused += other.refused;
        self.returned += other.returned;
        self.replies_resent += other.replies_resent;
        self.replies_dropped += other.replies_dropped;
    }
}

impl Counts {
    /// The sums of a phase, or of all phases. With `at_most_once` a request that was cut off is not
    /// lost.
    pub(super) fn of(
        entries: &Ledger,
        phase: Option<usize>,
        at_most_once: bool,
        traffic: Traffic,
    ) -> Self {
        let mut counts = Self { traffic, ..Self::default() };
        let mut latencies = Histogram::<u64>::new_with_max(LATENCY_MAX_US, 3)
            .expect("three digits of an hour in microseconds fit");
        let all = entries.requests.iter();
        for request in all.filter(|request| phase.is_none_or(|phase| request.phase == phase)) {
            counts.add(entries, request, at_most_once, &mut latencies);
        }
        if !latencies.is_empty() {
            let [p50, p99] = [0.5, 0.99].map(|share| latencies.value_at_quantile(share));
            counts.latency_us = Latency { p50, p99, max: latencies.max() };
        }
        counts
    }

    fn add(
        &mut self,
        entries: &Ledger,
        request: &Request,
        at_most_once: bool,
        latencies: &mut Histogram<u64>,
    ) {
        self.sent += 1;
        self.executed += request.executed_by.len() as u64;
        self.duplicated += entries.surplus(request);
        let is_call = request.what.is_call();
        self.calls += u64::from(is_call);
        let missing = entries.missing(request);
        let Some(end) = &request.end else {
            self.lost += missing;
            return *self.errors.entry("no end".to_owned()).or_default() += 1;
        };
        match &end.result {
            Ok(()) if is_call => {
                self.answered += 1;
                latencies.saturating_record(end.latency.as_micros() as u64);
            }
            Ok(()) => self.lost += missing,
            Err(fault) => {
                *self.errors.entry(fault.label.clone()).or_default() += 1;
                self.unanswered += u64::from(is_call && missing == 0);
                match fault.is_cut_off && at_most_once {
                    true => self.cut_off += missing,
                    false => self.lost += missing,
                }
            }
        }
    }

    /// Why the update has failed, if it has.
    pub(super) fn objection(&self, at_most_once: bool) -> Option<String> {
        if self.lost > 0 {
            return Some(format!("{} of {} requests were lost", self.lost, self.sent));
        }
        let is_broken = at_most_once && self.duplicated > 0;
        is_broken.then(|| format!("{} requests were executed twice", self.duplicated))
    }
}

#[cfg(test)]
mod tests {
    use super::super::kinds::ClientKind;
    use super::super::ledger::{RequestFailure, RequestKind, SharedLedger};
    use super::*;

    #[test]
    fn each_request_is_counted_by_what_became_of_it() {
        let ledger = SharedLedger::new();
        let server = ledger.add_server();
        ledger.server_started(server);
        let begin = |what| ledger.begin(what, ClientKind::Kombu);
        let [answered, lost, late, cast] =
            [RequestKind::Call, RequestKind::Call, RequestKind::NamedCall, RequestKind::Cast]
                .map(begin);
        ledger.executed(answered, server);
        ledger.end(answered, Ok(()));
        ledger.end(lost, Err(RequestFailure::new("timeout")));
        ledger.executed(late, server);
        ledger.end(late, Err(RequestFailure::new("timeout")));
        ledger.executed(cast, server);
        ledger.executed(cast, server);
        ledger.end(cast, Ok(()));
        ledger.enter(1);
        let cut_off = begin(RequestKind::Cast);
        ledger.end(cut_off, Err(RequestFailure { label: "cut off".to_owned(), is_cut_off: true }));

        let entries = ledger.read();
        let first = Counts::of(&entries, Some(0), true, Traffic::default());
        assert_eq!((first.sent, first.calls, first.answered, first.executed), (4, 3, 1, 4));
        assert_eq!((first.lost, first.unanswered, first.duplicated), (1, 1, 1));
        assert_eq!(first.errors, BTreeMap::from([("timeout".to_owned(), 2)]));
        let second = Counts::of(&entries, Some(1), true, Traffic::default());
        assert_eq!((second.sent, second.lost, second.cut_off), (1, 0, 1));
        let all = Counts::of(&entries, None, false, Traffic::default());
        assert_eq!((all.sent, all.lost, all.cut_off), (5, 2, 0), "who may repeat must");
        assert!(all.objection(false).is_some_and(|text| text.contains("2 of 5")));
        assert!(second.objection(true).is_none());
    }
}
