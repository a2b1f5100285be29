//! Flags of the simulator: of all its modes, and of each.

use std::path::PathBuf;

use clap::Args;

/// Flags before the mode.
#[derive(Debug, Args)]
pub(crate) struct Simulator {
    /// Log more
    #[arg(short, long)]
    pub(crate) debug: bool,
    /// Topic of a server (-tp)
    #[arg(long, default_value = "profiler_topic")]
    pub(crate) topic: String,
    /// Name of a server
    #[arg(short, long, default_value = "profiler_server")]
    pub(crate) server: String,
    /// Targets of a client as topic.server; the server may be empty (-tg)
    #[arg(long, value_name = "TOPIC.SERVER", default_value = "profiler_topic.profiler_server")]
    pub(crate) targets: Vec<String>,
    /// Stop after this many seconds
    #[arg(short = 'l', long = "time", value_name = "S")]
    pub(crate) limit_seconds: Option<f64>,
    /// File whose transport_url, in the section DEFAULT, is used where --url is not given
    #[arg(long, value_name = "FILE")]
    pub(crate) config_file: Option<PathBuf>,
}

/// Flags of `rpc-server`.
#[derive(Clone, Debug, Args)]
pub(crate) struct RpcServerArgs {
    /// Seconds to wait before answering; -1 answers at once
    #[arg(short, long, default_value_t = -1.0, allow_negative_numbers = true)]
    pub(crate) wait_before_answer: f64,
    /// Accepted and ignored: Leveret has its own executors
    #[arg(short, long, default_value = "threading")]
    pub(crate) executor: String,
}

/// Flags of both clients.
#[derive(Clone, Debug, Args)]
pub(crate) struct LoadArgs {
    /// Client threads
    #[arg(short = 'p', long, default_value_t = 1)]
    pub(crate) threads: usize,
    /// Messages each thread sends
    #[arg(short = 'm', long, default_value_t = 1)]
    pub(crate) messages: u64,
    /// Seconds to wait after each message; -1 goes on at once
    #[arg(short = 'w', long, default_value_t = -1.0, allow_negative_numbers = true)]
    pub(crate) wait_after_msg: f64,
    /// Seconds a call waits for its answer, and a notification for the broker
    #[arg(long, default_value_t = 3.0)]
    pub(crate) timeout: f64,
}

/// Flags of `rpc-client`.
#[derive(Clone, Debug, Args)]
pub(crate) struct RpcClientArgs {
    #[command(flatten)]
    pub(crate) load: LoadArgs,
    /// Seconds to wait before leaving
    #[arg(long, default_value_t = 0.0)]
    pub(crate) exit_wait: f64,
    /// Cast instead of calling
    #[arg(long)]
    pub(crate) is_cast: bool,
    /// Cast to all servers of the topic
    #[arg(long)]
    pub(crate) is_fanout: bool,
    /// Tell the servers when this client starts and ends
    #[arg(long, value_name = "HOW")]
    pub(crate) sync: Option<Sync>,
}

/// Flags of `notify-server` and `batch-notify-server`.
#[derive(Clone, Debug, Args)]
pub(crate) struct NotifyServerArgs {
    /// Seconds to wait after a notification or batch; -1 goes on at once
    #[arg(short, long, default_value_t = -1.0, allow_negative_numbers = true)]
    pub(crate) wait_before_answer: f64,
    /// Requeue every notification once
    #[arg(long)]
    pub(crate) requeue: bool,
}

/// Flags of `notify-client`.
#[derive(Clone, Debug, Args)]
pub(crate) struct NotifyClientArgs {
    #[command(flatten)]
    pub(crate) load: LoadArgs,
}

/// How a client tells its servers that it starts and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Sync {
    /// By a call to each target.
    Call,
    /// By a fanout cast.
    Fanout,
}
