//! The rows of a report: the typical run of each subject in each workload.

use crate::results::comparing::{self, BLOCKS_MIN};
use crate::results::document::Results;
use crate::results::metrics;
use crate::results::run::Run;
use crate::results::statistics::{median, typical_interval};

/// One subject in one workload.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// The median of each figure over the windows, and the sum of their histograms.
    pub(crate) run: Run,
    /// Measured windows.
    pub(crate) windows: usize,
    /// Latencies in a typical window.
    pub(crate) samples: u64,
    /// Bounds of the rate: the 95 % interval of its median, or the extremes of too few windows.
    pub(crate) rate_bounds: (f64, f64),
}

impl Row {
    /// Whether operations start when they are due instead of when a former one ends.
    pub(crate) fn is_open_loop(&self) -> bool {
        self.run.offered_per_s.is_some()
    }

    /// Whether the workload has latencies.
    pub(crate) fn has_latencies(&self) -> bool {
        self.run.latency_us.max.or(self.run.latency_us.p50).is_some()
    }
}

/// All rows, in the order in which their first runs were measured.
pub(crate) fn of(results: &Results) -> Vec<Row> {
    let found = comparing::rows(&results.runs, &subjects(results)).into_iter();
    let busy = found.filter(|windows| !windows[0].is_idle());
    busy.filter_map(|windows| row(&windows)).collect()
}

fn row(windows: &[&Run]) -> Option<Row> {
    let run = metrics::typical(windows)?;
    let counts: Vec<f64> = windows.iter().map(|run| samples(run) as f64).collect();
    let rates: Vec<f64> = windows.iter().map(|run| run.rate_per_s).collect();
    let extremes = || {
        let low = rates.iter().copied().fold(f64::INFINITY, f64::min);
        (low, rates.iter().copied().fold(0.0, f64::max))
    };
    let rate_bounds = match windows.len() {
        BLOCKS_MIN.. => typical_interval(&rates)?,
        _ => extremes(),
    };
    let samples = median(&counts)? as u64;
    Some(Row { run, windows: windows.len(), samples, rate_bounds })
}

/// Latencies of a window. Older files have no histogram; there every message had a latency.
fn samples(run: &Run) -> u64 {
    match run.histogram.iter().map(|(_, count)| count).sum() {
        0 => run.messages,
        count => count,
    }
}

/// The names of workloads, in the order of the rows.
pub(crate) fn workloads(rows: &[Row]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for row in rows {
        if !names.contains(&row.run.workload.as_str()) {
            names.push(&row.run.workload);
        }
    }
    names
}

/// The names of subjects: as the file lists them, then others in the order of the rows.
pub(crate) fn subjects(results: &Results) -> Vec<&str> {
    let listed = results.subjects.iter().map(|subject| &subject.name);
    let mut names: Vec<&str> = Vec::new();
    for name in listed.chain(results.runs.iter().map(|run| &run.subject)) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::comparing::tests::run;
    use crate::results::document::MeasuredSubject;

    #[test]
    fn a_row_is_the_median_of_its_windows() {
        let with = |rate, histogram| Run { histogram, ..run("w", "a", rate, Some(1.0)) };
        let runs = vec![
            with(30.0, vec![(5, 4)]),
            run("v", "a", 7.0, None),
            with(10.0, vec![(5, 6)]),
            with(20.0, vec![(5, 5)]),
        ];
        let rows = of(&Results { runs, ..Results::default() });
        assert_eq!(workloads(&rows), ["w", "v"]);
        let row = &rows[0];
        assert_eq!((row.windows, row.samples, row.run.rate_per_s), (3, 5, 20.0));
        assert_eq!(row.rate_bounds, (10.0, 30.0), "too few for an interval");
        assert!(row.has_latencies() && !rows[1].has_latencies() && !row.is_open_loop());
        assert_eq!(rows[1].samples, 7, "no histogram: its messages");
    }

    #[test]
    fn subjects_are_in_the_order_of_the_file() {
        let info = |name: &str| MeasuredSubject { name: name.to_owned(), version: None };
        let mut results = Results { runs: vec![run("w", "raw", 1.0, None)], ..Results::default() };
        assert_eq!(subjects(&results), ["raw"]);
        results.subjects = vec![info("leveret"), info("raw")];
        assert_eq!(subjects(&results), ["leveret", "raw"]);
    }
}
