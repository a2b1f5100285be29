//! Publications the broker has not confirmed yet, and what becomes of them when their channel or
//! connection ends.
//!
//! Invariant: each ends once: sent again, or told. What no byte of was handed to the kernel is sent
//! again whatever its publisher asked for. Not here: the outbox they go back to (`channel_state`),
//! whose fault it was (`culprit`).

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;
use std::time::Instant;

use crate::error::Error;
use crate::outcome::Outcome;
use crate::proto::Record;
use crate::shard::border::reframe::{route_of, unframe};
use crate::shard::border::segment::Segment;
use crate::shard::border::slab::Token;
use crate::shard::connection::exception_cause::{Attribution, Cause, attribute};

/// How often a publication is sent again because what it did not find was declared again.
const REDECLARED_RESENDS_MAX: u8 = 2;

/// What a run of the ledger keeps of its segment.
#[derive(Debug, Default)]
pub(crate) struct SentSegment {
    /// The segment without its records; back from the socket when `Some`.
    pub(crate) segment: Option<Segment>,
    /// Its records, confirmed before it came back.
    pub(crate) records: Vec<Record>,
    /// What it counts in the channel's send budget.
    pub(crate) size: usize,
    /// How far its bytes were handed to the kernel.
    pub(crate) written: usize,
    /// When the writer took it.
    pub(crate) taken: Option<Instant>,
}

pub(crate) type InFlightSegment = Rc<RefCell<SentSegment>>;

/// InFlightRuns of the ledger, oldest first.
pub(crate) type InFlightRuns = Vec<(Vec<Record>, InFlightSegment)>;

/// Why a channel ended: a channel exception, or the loss of its connection.
pub(crate) struct ChannelFailure {
    pub(crate) error: Error,
    pub(crate) cause: Cause,
    /// What it did not find is declared again before anything is published.
    pub(crate) is_redeclared: bool,
}

/// What is to be done about the publications of a channel that ended.
#[derive(Default)]
pub(crate) struct Resolution {
    /// Sent again, in this order.
    pub(crate) survivors: Segment,
    /// Sent again one by one, because each may have ended the channel.
    pub(crate) suspects: Vec<Segment>,
    /// What they counted in the channel's send budget.
    pub(crate) released_bytes: usize,
    /// Publications that nobody waited for and that are not sent again.
    pub(crate) unwatched_failures: u64,
}

/// A publication of a run.
struct UnconfirmedPublication {
    record: Record,
    at: Range<u32>,
    /// Its place among the segments.
    segment: usize,
    /// No byte of it was handed to the kernel.
    is_untouched: bool,
}

/// Decides what becomes of each publication that was unconfirmed when its channel ended.
pub(crate) fn resolve(
    failure: &ChannelFailure,
    runs: InFlightRuns,
    outcomes: &mut Vec<(Token, Outcome)>,
) -> Resolution {
    let mut resolution = Resolution::default();
    let (segments, publications) =
        collect_unconfirmed(runs, &failure.error, &mut resolution, outcomes);
    let fits = |one: &UnconfirmedPublication| {
        // Where nothing is named, nobody needs to look.
        failure.cause != Cause::Other && {
            let (exchange, size) = route_of(&segments[one.segment], one.at.clone());
            failure.cause.fits(&exchange, size)
        }
    };
    let touched = publications.iter().filter(|one| !one.is_untouched);
    let mut attributions = attribute(&touched.map(fits).collect::<Vec<_>>()).into_iter();
    for one in publications {
        let attribution = if one.is_untouched { None } else { attributions.next() };
        let segment = &segments[one.segment];
        resolution.add(failure, one, segment, attribution.unwrap_or(Attribution::Behind), outcomes);
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
            Attribution::Behind => self.survivors.push_range(segment, at, record),
            Attribution::Before if retain => self.survivors.push_range(segment, at, again),
            Attribution::Culprit | Attribution::Suspect
                if retain && *is_redeclared && retries < REDECLARED_RESENDS_MAX =>
            {
                let again = Record { retries: retries + 1, ..again };
                self.survivors.push_range(segment, at, again);
            }
            Attribution::Suspect if retain => {
                let mut alone = Segment::default();
                alone.push_range(segment, at, again);
                self.suspects.push(alone);
            }
            _ if token == 0 => self.unwatched_failures += 1,
            Attribution::Culprit if !maybe_taken => {
                let given_back = retain.then(|| Box::new(unframe(segment, at)));
                outcomes.push((token, Outcome::Refused(error.clone(), given_back)));
            }
            _ => outcomes.push((token, Outcome::MaybeSent(error.clone()))),
        }
    }
}

/// The unconfirmed publications of runs, with their segments. What is still with the writer,
/// because the channel ends for good, may have been sent.
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
