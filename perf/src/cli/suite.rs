//! Flags of the suites: of `leveret-perf` alone, and of `compare`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::cli::report::{OutputArgs, TITLE};
use crate::cli::values::seconds;
use crate::report::command::Request;
use crate::subject::name::SubjectName;
use crate::workload::suite::Suite;
use crate::workload::workload::Workload;

/// How long a suite takes, and how sure its verdicts are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Profile {
    /// Windows of half a second, 10 to 20 of each subject
    Quick,
    /// Windows of a second, and as many as a narrow interval takes, up to 80 of each subject
    Full,
    /// Windows of a second, up to 40 of each subject
    Ci,
}

/// Flags that `leveret-perf` alone and `compare` share.
#[derive(Clone, Debug, Args)]
pub(crate) struct SuiteArgs {
    /// Length of each measured window (1.2; of `compare` 1, with --profile quick 0.5)
    #[arg(long, value_name = "S", value_parser = seconds)]
    pub(crate) seconds: Option<f64>,
    /// Payload of a message in bytes, in workloads that do not say it
    #[arg(long, value_name = "BYTES", default_value_t = 200)]
    pub(crate) size: usize,
    /// Run only these workloads
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) only: Vec<Workload>,
    /// A Python with oslo.messaging, for the subjects `oslo` and `oslo-fast`; by default
    /// $LEVERET_PEERS_PYTHON, or the one that `.ci/test` makes in the target folder
    #[arg(long, value_name = "FILE")]
    pub(crate) python: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
    /// Earlier results that multiples in --fail-if refer to, as 'call-1.p99 > 1.2x'
    #[arg(long, value_name = "BASE.json", requires = "fail_if")]
    base: Option<PathBuf>,
}

impl SuiteArgs {
    /// The reports that are asked for.
    pub(crate) fn request(&self) -> Request<'_> {
        self.output.request(self.base.as_deref(), TITLE)
    }
}

/// Flags of `leveret-perf` alone.
#[derive(Clone, Debug, Args)]
pub(crate) struct QuickArgs {
    #[command(flatten)]
    pub(crate) suite: SuiteArgs,
    /// Windows of each subject, interleaved (5 with --against, else 1)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) pairs: Option<u16>,
    /// Measure these beside Leveret in the same run: raw, raw-kombu, lapin, amqprs, oslo, Leveret
    /// in another configuration (leveret-pika, leveret?OPTION=VALUE&…) or another build of this
    /// program (its path)
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) against: Vec<SubjectName>,
    /// List the workloads and stop
    #[arg(long)]
    pub(crate) list: bool,
}

/// Flags of `compare`.
#[derive(Clone, Debug, Args)]
pub(crate) struct CompareArgs {
    #[command(flatten)]
    pub(crate) suite_args: SuiteArgs,
    /// The subjects; the first is compared with each of the others. By default those of the suite
    #[arg(value_name = "SUBJECT")]
    pub(crate) subjects: Vec<SubjectName>,
    /// Workloads that belong together
    #[arg(long, value_name = "NAME", default_value = "peers")]
    pub(crate) suite: Suite,
    /// How long it may take
    #[arg(long, value_name = "NAME", default_value = "full")]
    pub(crate) profile: Profile,
    /// Exactly this number of windows of each subject, an even one
    #[arg(long, value_name = "N", value_parser = even)]
    pub(crate) windows: Option<usize>,
    /// Without --url: use the broker inside this process, and start no private RabbitMQ
    #[arg(long)]
    pub(crate) embedded: bool,
}

fn even(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(windows) if windows > 0 && windows.is_multiple_of(2) => Ok(windows),
        _ => Err("an even number, because windows are measured as A B B A".to_owned()),
    }
}
