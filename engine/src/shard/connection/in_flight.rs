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
use crate::shard::connection::culprit::{Cause, Verdict, verdicts};

/// How often a publication is sent again because what it did not find was declared again.
const HEALS_MAX: u8 = 2;

/// What a run of the ledger keeps of its segment.
#[derive(Debug, Default)]
pub(crate) struct Kept {
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

pub(crate) type Shelf = Rc<RefCell<Kept>>;

/// Runs of the ledger, oldest first.
pub(crate) type Runs = Vec<(Vec<Record>, Shelf)>;

/// Why a channel ended: a channel exception, or the loss of its connection.
pub(crate) struct Exception {
    pub(crate) error: Error,
    pub(crate) cause: Cause,
    /// What it did not find is declared again before anything is published.
    pub(crate) heals: bool,
}

/// What is to be done about the publications of a channel that ended.
#[derive(Default)]
pub(crate) struct Judged {
    /// Sent again, in this order.
    pub(crate) survivors: Segment,
    /// Sent again one by one, because each may have ended the channel.
    pub(crate) suspects: Vec<Segment>,
    /// What they counted in the channel's send budget.
    pub(crate) freed: usize,
    /// Publications that nobody waited for and that are not sent again.
    pub(crate) unwatched: u64,
}

/// A publication of a run.
struct InFlight {
    record: Record,
    at: Range<u32>,
    /// Its place among the segments.
    segment: usize,
    /// No byte of it was handed to the kernel.
    is_untouched: bool,
}

/// Decides what becomes of each publication that was unconfirmed when its channel ended.
pub(crate) fn judge(
    exception: &Exception,
    runs: Runs,
    outcomes: &mut Vec<(Token, Outcome)>,
) -> Judged {
    let mut judged = Judged::default();
    let (segments, publications) = unfold(runs, &exception.error, &mut judged, outcomes);
    let fits = |one: &InFlight| {
        // Where nothing is named, nobody needs to look.
        exception.cause != Cause::Other && {
            let (exchange, size) = route_of(&segments[one.segment], one.at.clone());
            exception.cause.fits(&exchange, size)
        }
    };
    let touched = publications.iter().filter(|one| !one.is_untouched);
    let mut verdicts = verdicts(&touched.map(fits).collect::<Vec<_>>()).into_iter();
    for one in publications {
        let verdict = if one.is_untouched { None } else { verdicts.next() };
        let segment = &segments[one.segment];
        judged.add(exception, one, segment, verdict.unwrap_or(Verdict::Behind), outcomes);
    }
    judged
}

impl Judged {
    fn add(
        &mut self,
        Exception { error, heals, .. }: &Exception,
        InFlight { record, at, .. }: InFlight,
        segment: &Segment,
        verdict: Verdict,
        outcomes: &mut Vec<(Token, Outcome)>,
    ) {
        let Record { token, retain, retries, maybe_taken, .. } = record;
        let again = Record { maybe_taken: true, ..record };
        match verdict {
            Verdict::Behind => self.survivors.push_range(segment, at, record),
            Verdict::Before if retain => self.survivors.push_range(segment, at, again),
            Verdict::Culprit | Verdict::Suspect if retain && *heals && retries < HEALS_MAX => {
                let again = Record { retries: retries + 1, ..again };
                self.survivors.push_range(segment, at, again);
            }
            Verdict::Suspect if retain => {
                let mut alone = Segment::default();
                alone.push_range(segment, at, again);
                self.suspects.push(alone);
            }
            _ if token == 0 => self.unwatched += 1,
            Verdict::Culprit if !maybe_taken => {
                let given_back = retain.then(|| Box::new(unframe(segment, at)));
                outcomes.push((token, Outcome::Refused(error.clone(), given_back)));
            }
            _ => outcomes.push((token, Outcome::MaybeSent(error.clone()))),
        }
    }
}

/// The unconfirmed publications of runs, with their segments. What is still with the writer,
/// because the channel ends for good, may have been sent.
fn unfold(
    runs: Runs,
    error: &Error,
    judged: &mut Judged,
    outcomes: &mut Vec<(Token, Outcome)>,
) -> (Vec<Segment>, Vec<InFlight>) {
    let (mut segments, mut publications) = (Vec::new(), Vec::new());
    for (records, shelf) in runs {
        let Kept { segment, size, written, .. } = shelf.take();
        judged.freed += size;
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
                publications.push(InFlight { record, at, segment, is_untouched });
            }
        }
        segments.push(kept);
    }
    (segments, publications)
}
