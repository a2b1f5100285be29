//! Progress of a plan, on standard error so that standard output stays a report.
//!
//! On a terminal a bar, and the last figures of each subject in the present workload. Otherwise
//! each window is one plain line. Between windows nothing is drawn: drawing costs the CPU that is
//! measured.
#![expect(clippy::print_stderr, reason = "progress for people goes to standard error")]

use std::cell::RefCell;
use std::io::IsTerminal;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::results::run::Run;
use crate::results::text::{figure, grouped};

/// What is shown of a plan.
pub(crate) struct Progress {
    screen: Option<Screen>,
}

struct Screen {
    all: MultiProgress,
    bar: ProgressBar,
    subjects: RefCell<Vec<(String, ProgressBar)>>,
    workload: RefCell<String>,
}

impl Progress {
    /// Progress over this number of windows, or a few more.
    pub(crate) fn new(windows: usize) -> Self {
        let screen = std::io::stderr().is_terminal().then(|| {
            let style =
                ProgressStyle::with_template("[{elapsed_precise}] {bar:30} {pos}/{len} {msg}")
                    .unwrap_or_else(|_| ProgressStyle::default_bar());
            let all = MultiProgress::new();
            let bar = all.add(ProgressBar::new(windows as u64).with_style(style));
            let (subjects, workload) = (RefCell::default(), RefCell::default());
            Screen { all, bar, subjects, workload }
        });
        Self { screen }
    }

    /// Shows that a window begins.
    pub(crate) fn begin(&self, workload: &str, subject: &str) {
        if let Some(screen) = &self.screen {
            screen.begin(workload);
            screen.bar.set_message(format!("{workload} by {subject}"));
        }
    }

    /// Shows the figures of a window.
    pub(crate) fn end(&self, run: &Run) {
        let figures = format!(
            "{} msg/s, p50 {} µs, p99.9 {} µs, {} errors",
            grouped(run.rate_per_s),
            figure(run.latency_us.p50, 0),
            figure(run.latency_us.p999, 0),
            run.errors
        );
        match &self.screen {
            Some(screen) => screen.end(&run.subject, figures),
            None => eprintln!("{} by {}: {figures}", run.workload, run.subject),
        }
    }
}

impl Screen {
    fn begin(&self, workload: &str) {
        if *self.workload.borrow() != workload {
            workload.clone_into(&mut self.workload.borrow_mut());
            for (_, line) in self.subjects.borrow_mut().drain(..) {
                line.finish_and_clear();
            }
        }
    }

    fn end(&self, subject: &str, figures: String) {
        if self.bar.length().is_some_and(|len| self.bar.position() >= len) {
            self.bar.inc_length(1);
        }
        self.bar.inc(1);
        let mut subjects = self.subjects.borrow_mut();
        let at = subjects.iter().position(|(name, _)| name == subject).unwrap_or_else(|| {
            let style = ProgressStyle::with_template("  {prefix:<24} {msg}")
                .unwrap_or_else(|_| ProgressStyle::default_spinner());
            let line = self.all.add(ProgressBar::new_spinner().with_style(style));
            line.set_prefix(subject.to_owned());
            subjects.push((subject.to_owned(), line));
            subjects.len() - 1
        });
        subjects[at].1.set_message(figures);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(screen) = &self.screen {
            screen.begin("");
            screen.bar.finish_and_clear();
        }
    }
}
