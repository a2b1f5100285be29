//! The results of chaos runs: verdicts on requests, the record of a run, and the report.

pub(crate) mod record;
pub(crate) mod report;
pub(crate) mod verdict;
