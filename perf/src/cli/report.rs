//! Flags of `report`.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::report::command::Request;
use crate::report::threshold::Threshold;

/// Title of a report.
pub(crate) const TITLE: &str = "Leveret performance";

/// Flags of all that makes a report.
#[derive(Clone, Debug, Args)]
pub(crate) struct OutputArgs {
    /// Write a report as one HTML page that loads nothing from elsewhere
    #[arg(long, value_name = "OUT.html")]
    html: Option<PathBuf>,
    /// Write a report as Markdown, or print it with -; `report` does without other outputs
    #[arg(long, value_name = "OUT.md|-")]
    markdown: Option<PathBuf>,
    /// Write an SVG file for each figure that grows with a number of the workloads, as
    /// callers-p99.svg, into this directory
    #[arg(long, value_name = "DIR")]
    plots: Option<PathBuf>,
    /// End with status 4 if this is so in the results: `WORKLOAD[@SUBJECT].FIGURE OP VALUE`, as
    /// 'call-1.p99 > 1ms'. The subject is the first of the file by default. Figures: p50 p90 p99
    /// p99.9 max rate errors cpu sys alloc offered; operators: > >= < <=; units: us ms s of
    /// latencies, k M of rates, x for a multiple of the same figure of earlier results
    #[arg(long, value_name = "EXPR")]
    fail_if: Vec<Threshold>,
}

impl OutputArgs {
    /// What the report is asked for.
    pub(crate) fn request<'a>(&'a self, base: Option<&'a Path>, title: &'a str) -> Request<'a> {
        Request {
            html: self.html.as_deref(),
            markdown: self.markdown.as_deref(),
            plots: self.plots.as_deref(),
            thresholds: &self.fail_if,
            base,
            title,
        }
    }
}

/// Flags of `report`.
#[derive(Clone, Debug, Args)]
pub(crate) struct ReportArgs {
    /// Files that --json has written; several are shown in one report, a section for each
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
    /// Earlier results that multiples in --fail-if refer to
    #[arg(long, value_name = "BASE.json", requires = "fail_if")]
    against: Option<PathBuf>,
    /// Title of the report
    #[arg(long, value_name = "TEXT", default_value = TITLE)]
    title: String,
}

impl ReportArgs {
    /// What the report is asked for.
    pub(crate) fn request(&self) -> Request<'_> {
        self.output.request(self.against.as_deref(), &self.title)
    }
}
