//! Publications that were sent and are not confirmed, and what becomes of them when their channel
//! or connection ends.
//!
//! Invariants: each publication is either sent again or gets an outcome, once; a publication of
//! which no byte was handed to the kernel is always sent again. The cause of a channel's end is in
//! `exception_cause`; `publications` puts them back into the outbox.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;
use std::time::Instant;

use crate::error::Error;
use crate::outcome::Outcome;
use crate::proto::Record;
use crate::shard::border::outbox::reframe::{route_of, unframe};
use crate::shard::border::outbox::segment::Segment;
use crate::shard::border::slab::Token;
use crate::shard::connection::channel::exception_cause::{Attribution, Cause, attribute};

/// How often a publication is sent again because the exchange it did not find was declared again.
const REDECLARED_RESENDS_MAX: u8 = 2;

/// A segment that was handed to the writer, shared by the writer and a run of the ledger.
#[derive(Debug, Default)]
pub(crate) struct SentSegment {
    /// The segment without its records. `None` while the writer has it.
    pub(crate) segment: Option<Segment>,
    /// Its records, if all were confirmed before the writer returned the segment.
    pub(crate) records: Vec<Record>,
    /// Bytes it counts in the channel's send budget.
    pub(crate) size: usize,
    /// How many of its bytes were handed to the kernel.
    pub(crate) written: usize,
    /// When the writer took it.
    pub(crate) taken: Option<Instant>,
}

pub(crate) type InFlightSegment = Rc<RefCell<SentSegment>>;

/// Runs of the ledger, oldest first.
pub(crate) type InFlightRuns = Vec<(Vec<Record>, InFlightSegment)>;

/// Why a channel ended: a channel exception or the loss of its connection.
pub(crate) struct ChannelFailure {
    pub(crate) error: Error,
    pub(crate) cause: Cause,
    /// The exchange that was not found is declared again before anything is published.
    pub(crate) is_redeclared: bool,
}

/// What to do with the unconfirmed publications of a channel that ended.
#[derive(Default)]
pub(crate) struct Resolution {
    /// To be sent again, in this order.
    pub(crate) resend: Segment,
    /// To be sent again one at a time, because each may have closed the channel.
    pub(crate) suspects: Vec<Segment>,
    /// Bytes to release from the channel's send budget.
    pub(crate) released_bytes: usize,
    /// Number of publications without a waiting caller that are not sent again.
    pub(crate) fire_and_forget_failures: u64,
}

/// An unconfirmed publication of a run.
struct UnconfirmedPublication {
    record: Record,
    at: Range<u32>,
    /// Index of its segment.
    segment: usize,
    /// No byte of it was handed to the kernel.
    is_untouched: bool,
}

/// Decides what becomes of each publication that was unconfirmed when its channel ended. Pushes the
/// outcomes of those that are not sent again.
pub(crate) fn resolve(
    failure: &ChannelFailure,
    runs: InFlightRuns,
    outcomes: &mut Vec<(Token, Outcome)>,
) -> Resolution {
    let mut resolution = Resolution::default();
    let (segments, publications) =
        collect_unconfirmed(runs, &failure.error, &mut resolution, outcomes);
    let fits = |publication: &UnconfirmedPublication| {
        // No publication matches other causes, so the frames need no parsing.
        failure.cause != Cause::Other && {
            let (exchange, size) = route_of(&segments[publication.segment], publication.at.clone());
            failure.cause.fits(&exchange, size)
        }
    };
    let touched = publications.iter().filter(|publication| !publication.is_untouched);
    let mut attributions = attribute(&touched.map(fits).collect::<Vec<_>>()).into_iter();
    for publication in publications {
        let attribution = if publication.is_untouched { None } else { attributions.next() };
        let segment = &segments[publication.segment];
        resolution.add(
            failure,
            publication,
            segment,
            attribution.unwrap_or(Attribution::Behind),
            outcomes,
        );
    }
    resolution
}

impl Resolution {
    fn add(
        &mut self,
        ChannelFailure { error, is_redeclared, .. }: &ChannelFailure,
        UnconfirmedPublication { record, at, .. }: UnconfirmedPublication,
        segment: &Segment,
        attribution: Attribution,
        outcomes: &mut Vec<(Token, Outcome)>,
    ) {
        let Record { token, retain, retries, maybe_taken, .. } = record;
        let again = Record { maybe_taken: true, ..record };
        match attribution {
            Attribution::Behind => self.resend.push_range(segment, at, record),
            Attribution::Before if retain => self.resend.push_range(segment, at, again),
            Attribution::Culprit | Attribution::Suspect
                if retain && *is_redeclared && retries < REDECLARED_RESENDS_MAX =>
            {
                let again = Record { retries: retries + 1, ..again };
                self.resend.push_range(segment, at, again);
            }
            Attribution::Suspect if retain => {
                let mut alone = Segment::default();
                alone.push_range(segment, at, again);
                self.suspects.push(alone);
            }
            _ if token == 0 => self.fire_and_forget_failures += 1,
            Attribution::Culprit if !maybe_taken => {
                let given_back = retain.then(|| Box::new(unframe(segment, at)));
                outcomes.push((token, Outcome::Refused(error.clone(), given_back)));
            }
            _ => outcomes.push((token, Outcome::MaybeSent(error.clone()))),
        }
    }
}

/// Returns the unconfirmed publications of runs, and their segments. Publications of a segment that
/// the writer still has may have been sent; they get their outcome here. That happens only when the
/// channel is closed for good.
fn collect_unconfirmed(
    runs: InFlightRuns,
    error: &Error,
    resolution: &mut Resolution,
    outcomes: &mut Vec<(Token, Outcome)>,
) -> (Vec<Segment>, Vec<UnconfirmedPublication>) {
    let (mut segments, mut publications) = (Vec::new(), Vec::new());
    for (records, in_flight) in runs {
        let SentSegment { segment, size, written, .. } = in_flight.take();
        resolution.released_bytes += size;
        let Some(kept) = segment else {
            let open = records.iter().filter(|record| !record.settled && record.token != 0);
            outcomes.extend(open.map(|r| (r.token, Outcome::MaybeSent(error.clone()))));
            continue;
        };
        let mut start = 0;
        for record in records {
            let at = std::mem::replace(&mut start, record.end)..record.end;
            if !record.settled {
                let is_untouched = at.start as usize >= written;
                let segment = segments.len();
                publications.push(UnconfirmedPublication { record, at, segment, is_untouched });
            }
        }
        segments.push(kept);
    }
    (segments, publications)
}
