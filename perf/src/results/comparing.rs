//! Compares the runs of two subjects: ratios over blocks of interleaved windows, and a verdict.
//!
//! A subject's windows are taken in their order, in blocks of as many as the plan interleaves (two
//! for A B B A, so that a steady drift of the machine cancels). Invariant: a ratio compares blocks
//! of the same number only. A figure that either lacks has no ratio.

use crate::results::comparison::{Comparison, Estimate, Verdict};
use crate::results::run::Run;
use crate::results::statistics::{typical, typical_interval};

/// Smaller differences are not claimed: where a binary lies in memory can make one percent.
const CLAIM: f64 = 0.01;
/// Half the width of an interval above which two cannot be said to be the same.
const RESOLUTION: f64 = 0.05;
/// Half the width of an interval below which measuring ends.
const NARROW: f64 = 0.025;
/// A ratio as far from 1 as this needs no narrow interval.
const PLAIN: f64 = 1.2;
/// Blocks without which there is no verdict, and none on a ratio near 1: intervals of fewer values
/// do not hold the true ratio in 95 of 100 cases.
pub(crate) const BLOCKS_MIN: usize = 5;
const BLOCKS_SURE: usize = 10;

/// Compares the first of `subjects` with every other one, workload by workload.
pub(crate) fn comparisons(
    runs: &[Run],
    subjects: &[&str],
    windows_per_block: usize,
) -> Vec<Comparison> {
    let mut found: Vec<Comparison> = Vec::new();
    let Some((subject, others)) = subjects.split_first() else { return found };
    let first = rows(runs, &[subject]);
    for theirs in rows(runs, others) {
        let (workload, against) = (&theirs[0].workload, &theirs[0].subject);
        let ours = first.iter().find(|ours| ours[0].workload == *workload);
        let Some(ours) = ours else { continue };
        let blocks: Vec<(&[&Run], &[&Run])> = ours
            .chunks_exact(windows_per_block)
            .zip(theirs.chunks_exact(windows_per_block))
            .collect();
        if blocks.is_empty() {
            continue;
        }
        let higher = |figure: fn(&Run) -> Option<f64>| estimate(&blocks, figure, true);
        let lower = |figure: fn(&Run) -> Option<f64>| estimate(&blocks, figure, false);
        found.push(Comparison {
            workload: workload.clone(),
            subject: (*subject).to_owned(),
            against: against.clone(),
            blocks: blocks.len(),
            same_promises: ours[0].promises == theirs[0].promises,
            rate: higher(|run| Some(run.rate_per_s)),
            cpu: lower(|run| run.client_cpu_us_per_msg),
            p50: lower(|run| run.latency_us.p50),
            p99: lower(|run| run.latency_us.p99),
            p999: lower(|run| run.latency_us.p999),
        });
    }
    found
}

/// The windows of each row: of one workload by one subject. Workloads stand as they were measured,
/// subjects in this order.
pub(crate) fn rows<'a>(runs: &'a [Run], subjects: &[&str]) -> Vec<Vec<&'a Run>> {
    let mut workloads: Vec<&str> = Vec::new();
    for run in runs {
        if !workloads.contains(&run.workload.as_str()) {
            workloads.push(&run.workload);
        }
    }
    let pairs =
        workloads.iter().flat_map(|workload| subjects.iter().map(move |one| (workload, one)));
    let windows = pairs.map(|(workload, subject)| {
        let is_it = |run: &&Run| run.workload == *workload && run.subject == *subject;
        runs.iter().filter(is_it).collect()
    });
    windows.filter(|windows: &Vec<&Run>| !windows.is_empty()).collect()
}

/// The ratio of one figure over all blocks. Computed on logarithms, so that half and double cancel,
/// and the ratio is the inverse if the two subjects change places.
fn estimate(
    blocks: &[(&[&Run], &[&Run])],
    figure: fn(&Run) -> Option<f64>,
    higher_is_better: bool,
) -> Option<Estimate> {
    let sum = |runs: &[&Run]| runs.iter().map(|run| figure(run)).sum::<Option<f64>>();
    let logarithms: Vec<f64> = blocks
        .iter()
        .filter_map(|(ours, theirs)| {
            let (ours, theirs) = (sum(ours)?, sum(theirs)?);
            (ours > 0.0 && theirs > 0.0).then(|| (ours / theirs).ln())
        })
        .collect();
    let (low, high) = typical_interval(&logarithms)?;
    let (ratio, low, high) = (typical(&logarithms)?.exp(), low.exp(), high.exp());
    let verdict = verdict(low, high, logarithms.len(), higher_is_better);
    Some(Estimate { ratio, low, high, verdict })
}

/// What an interval of a ratio over `blocks` blocks says.
fn verdict(low: f64, high: f64, blocks: usize, higher_is_better: bool) -> Verdict {
    let (above, below) = match higher_is_better {
        true => (Verdict::Faster, Verdict::Slower),
        false => (Verdict::Slower, Verdict::Faster),
    };
    let is_plain = low > PLAIN || high < 1.0 / PLAIN;
    if blocks < BLOCKS_MIN || (blocks < BLOCKS_SURE && !is_plain) {
        return Verdict::Unclear;
    }
    if low > 1.0 + CLAIM {
        above
    } else if high < 1.0 - CLAIM {
        below
    } else if half_width(low, high) <= RESOLUTION {
        Verdict::Same
    } else {
        Verdict::Unclear
    }
}

fn half_width(low: f64, high: f64) -> f64 {
    (high - low) / 2.0
}

impl Estimate {
    /// Whether more blocks would add nothing: the interval is narrow, or far from 1. What it says
    /// makes no difference, because who measures until the verdict pleases gets that verdict.
    pub(crate) fn is_settled(&self, blocks: usize) -> bool {
        let is_plain = blocks >= BLOCKS_MIN && (self.low > PLAIN || self.high < 1.0 / PLAIN);
        is_plain || (blocks >= BLOCKS_SURE && half_width(self.low, self.high) <= NARROW)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::results::run::Latency;
    use crate::workload::promises::Promises;

    /// A run with a rate and a median latency, and nothing else.
    pub(crate) fn run(workload: &str, subject: &str, rate: f64, p50: Option<f64>) -> Run {
        Run {
            workload: workload.to_owned(),
            subject: subject.to_owned(),
            payload_bytes: 200,
            processes: 1,
            threads: 1,
            messages: rate as u64,
            seconds: 1.0,
            rate_per_s: rate,
            latency_us: Latency { p50, ..Latency::default() },
            ..Run::default()
        }
    }

    #[test]
    fn ratios_take_blocks_in_their_order() {
        let runs = [
            run("w", "leveret", 90.0, Some(10.0)),
            run("w", "raw", 100.0, Some(10.0)),
            run("w", "raw", 200.0, Some(10.0)),
            run("w", "leveret", 50.0, None),
            run("w", "leveret", 80.0, Some(30.0)),
            run("w", "raw", 100.0, Some(10.0)),
        ];
        let single = comparisons(&runs, &["leveret", "raw"], 1);
        assert_eq!(single.len(), 1);
        let found = &single[0];
        assert_eq!((found.against.as_str(), found.blocks), ("raw", 3));
        let rate = found.rate.expect("all have a rate");
        // Of 0.9, 0.25 and 0.8: between the second and the third of all pairs.
        let expected = ((0.9_f64 * 0.25).sqrt() * 0.8).sqrt();
        assert!((rate.ratio - expected).abs() < 1e-9, "{rate:?}");
        assert!(rate.low < 0.25 && rate.high > 0.9, "three values tell little: {rate:?}");
        assert!((found.p50.expect("two blocks have it").ratio - 3.0_f64.sqrt()).abs() < 1e-9);
        assert_eq!((found.cpu, found.p999), (None, None));

        let blocks = comparisons(&runs, &["leveret", "raw"], 2);
        assert_eq!(blocks[0].blocks, 1, "a block that is not whole does not count");
        assert!((blocks[0].rate.expect("a rate").ratio - 140.0 / 300.0).abs() < 1e-9);
        assert_eq!(blocks[0].p50, None, "one of its windows lacks the figure");
    }

    /// A tail that is now half, now double of the other's.
    #[test]
    fn a_ratio_is_the_inverse_where_the_two_change_places() {
        let tails = |subject, values: [f64; 10]| {
            values.map(|p50| run("w", subject, 1.0, Some(p50))).to_vec()
        };
        let mut runs = tails("a", [1.0, 4.0, 1.0, 9.0, 2.0, 1.0, 3.0, 1.0, 8.0, 1.0]);
        runs.extend(tails("b", [4.0, 1.0, 9.0, 1.0, 2.0, 3.0, 1.0, 8.0, 1.0, 1.0]));
        let p50 = |subjects: [&str; 2]| comparisons(&runs, &subjects, 1)[0].p50.expect("has one");
        let (forth, back) = (p50(["a", "b"]), p50(["b", "a"]));
        assert!((forth.ratio * back.ratio - 1.0).abs() < 1e-9, "{forth:?} {back:?}");
        assert!((forth.ratio - 1.0).abs() < 0.01, "neither is slower: {forth:?}");
    }

    #[test]
    fn a_subject_alone_is_not_compared() {
        assert!(comparisons(&[run("w", "leveret", 1.0, None)], &["leveret", "raw"], 1).is_empty());
        assert!(comparisons(&[run("w", "raw", 1.0, None)], &["leveret", "raw"], 1).is_empty());
    }

    #[test]
    fn a_verdict_needs_the_whole_interval_and_enough_blocks() {
        let rate = |low, high| verdict(low, high, BLOCKS_SURE, true);
        assert_eq!(rate(1.02, 1.15), Verdict::Faster);
        assert_eq!(rate(1.005, 1.03), Verdict::Same, "too little to claim");
        assert_eq!(rate(0.7, 0.98), Verdict::Slower);
        assert_eq!(rate(0.96, 1.04), Verdict::Same);
        assert_eq!(rate(0.9, 1.04), Verdict::Unclear);
        assert_eq!(verdict(1.02, 1.15, BLOCKS_SURE, false), Verdict::Slower, "a latency");
        assert_eq!(verdict(1.02, 1.15, BLOCKS_SURE - 1, true), Verdict::Unclear, "near 1");
        assert_eq!(verdict(1.3, 2.0, BLOCKS_MIN, true), Verdict::Faster, "far from 1");
        assert_eq!(verdict(1.3, 2.0, BLOCKS_MIN - 1, true), Verdict::Unclear);
    }

    #[test]
    fn measuring_ends_with_a_narrow_interval_whatever_it_says() {
        let is_settled = |low, high, blocks| {
            let verdict = Verdict::Unclear;
            Estimate { ratio: 1.0, low, high, verdict }.is_settled(blocks)
        };
        assert!(is_settled(0.99, 1.03, BLOCKS_SURE) && is_settled(1.02, 1.06, BLOCKS_SURE));
        assert!(!is_settled(1.02, 1.1, BLOCKS_SURE), "faster, and still wide");
        assert!(!is_settled(0.99, 1.03, BLOCKS_SURE - 1));
        assert!(is_settled(1.3, 9.0, BLOCKS_MIN));
    }

    #[test]
    fn other_promises_are_marked() {
        let promises = Promises { confirmed: Some(true), ..Promises::default() };
        let ours = Run { promises, ..run("w", "leveret", 1.0, None) };
        let runs = [ours, run("w", "raw", 1.0, None)];
        assert!(!comparisons(&runs, &["leveret", "raw"], 1)[0].same_promises);
    }
}
