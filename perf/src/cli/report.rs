//! Flags of `report`.

use std::path::PathBuf;

use clap::Args;

use crate::report::command::Request;
use crate::report::threshold::Threshold;

/// Title of a report.
pub(crate) const TITLE: &str = "Leveret performance";

/// Flags of `report`.
#[derive(Clone, Debug, Args)]
pub(crate) struct ReportArgs {
    /// Files that --json has written; several are shown in one report, a section for each
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Write the report as one HTML page that loads nothing from elsewhere
    #[arg(long, value_name = "OUT.html")]
    pub(crate) html: Option<PathBuf>,
    /// Write the report as Markdown, or print it with -; this is the default
    #[arg(long, value_name = "OUT.md|-")]
    pub(crate) markdown: Option<PathBuf>,
    /// End with status 4 if this is so in one of the files: `WORKLOAD[@SUBJECT].FIGURE OP VALUE`,
    /// as 'call-1.p99 > 1ms'. The subject is the first of the file by default. Figures: p50 p90 p99
    /// p99.9 max rate errors cpu sys alloc offered; operators: > >= < <=; units: us ms s of
    /// latencies, k M of rates, x for a multiple of the same figure of --against
    #[arg(long, value_name = "EXPR")]
    pub(crate) fail_if: Vec<Threshold>,
    /// Earlier results that multiples in --fail-if refer to
    #[arg(long, value_name = "BASE.json", requires = "fail_if")]
    pub(crate) against: Option<PathBuf>,
    /// Title of the report
    #[arg(long, value_name = "TEXT", default_value = TITLE)]
    pub(crate) title: String,
}

impl ReportArgs {
    /// What the report is asked for.
    pub(crate) fn request(&self) -> Request<'_> {
        Request {
            html: self.html.as_deref(),
            markdown: self.markdown.as_deref(),
            thresholds: &self.fail_if,
            base: self.against.as_deref(),
            title: &self.title,
        }
    }
}
