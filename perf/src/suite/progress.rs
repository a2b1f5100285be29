//! Progress of a suite, on standard error so that standard output stays a report.
//!
//! The measuring thread, which the meter leaves out, draws a few times a second. Without a terminal
//! each run is one plain line.
#![expect(clippy::print_stderr, reason = "progress for people goes to standard error")]

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar over all runs of a suite.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
}

impl Progress {
    /// A bar for `runs` runs.
    pub(crate) fn new(runs: usize) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style =
                ProgressStyle::with_template("[{elapsed_precise}] {bar:30} {pos}/{len} {msg}")
                    .unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(runs as u64).with_style(style)
        });
        Self { bar }
    }

    /// Shows that a run begins.
    pub(crate) fn begin(&self, workload: &str, subject: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{workload} by {subject}"));
        }
    }

    /// Shows that a run is over.
    pub(crate) fn end(&self, workload: &str, subject: &str, rate_per_s: f64) {
        match &self.bar {
            Some(bar) => bar.inc(1),
            None => eprintln!("{workload} by {subject}: {rate_per_s:.0} msg/s"),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
