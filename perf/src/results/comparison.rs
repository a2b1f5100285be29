//! Two subjects compared in one workload.

use serde::{Deserialize, Serialize};

/// What an interval of a ratio says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// The subject is better, and the whole interval says so.
    Faster,
    /// The subject is worse, and the whole interval says so.
    Slower,
    /// No difference, or one below what the tool claims to tell.
    Same,
    /// The interval is too wide for any of these.
    Unclear,
}

impl Verdict {
    /// The verdict as reports say it.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Faster => "faster",
            Self::Slower => "slower",
            Self::Same => "same",
            Self::Unclear => "unclear",
        }
    }
}

/// A ratio of the subject's figure to the other's: the typical one of blocks of interleaved windows
/// (the median of the means of all pairs).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Estimate {
    pub(crate) ratio: f64,
    /// Bounds of the 95 % bootstrap interval of the median.
    pub(crate) low: f64,
    pub(crate) high: f64,
    pub(crate) verdict: Verdict,
}

/// One subject against another in one workload. A figure that either lacks has no estimate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Comparison {
    pub(crate) workload: String,
    pub(crate) subject: String,
    pub(crate) against: String,
    /// Blocks behind each median.
    pub(crate) blocks: usize,
    /// Both promise the same for each message; otherwise the ratio does not compare like with like.
    pub(crate) same_promises: bool,
    /// Messages per second: above 1 is faster.
    pub(crate) rate: Option<Estimate>,
    /// CPU time of the client per message: below 1 is faster.
    pub(crate) cpu: Option<Estimate>,
    /// Latencies: below 1 is faster.
    pub(crate) p50: Option<Estimate>,
    pub(crate) p99: Option<Estimate>,
    pub(crate) p999: Option<Estimate>,
}
