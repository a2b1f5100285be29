//! The command line.
//!
//! Without a mode it is the suite; with one it is a side of oslo.messaging's simulator, whose
//! spellings `-tp` and
//! `-tg` clap cannot express and [`rewrite`] turns into long options first.

pub(crate) mod chaos;
pub(crate) mod values;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::cli::values::{members, per_second, seconds};
use crate::placement::{BackendName, Cores, ExecutorName, Serving};
use crate::subject::contender::Contender;
use crate::workload::Workload;

/// Leveret's perf suite: casts, calls and fanout, side by side with their peers. Without arguments
/// it takes less than 40 seconds, on a broker inside this process.
#[derive(Debug, Parser)]
#[command(name = "leveret-perf", version, args_conflicts_with_subcommands = false)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) suite: Suite,
    #[command(flatten)]
    pub(crate) simulator: Simulator,
    /// Broker, as rabbit://user:password@host:port/vhost; without it the suite runs on an embedded
    /// one
    #[arg(long, value_name = "URL", global = true)]
    pub(crate) url: Option<String>,
    /// Write the outcome as JSON, too
    #[arg(short, long, value_name = "FILE", global = true)]
    pub(crate) json: Option<PathBuf>,
    /// What Leveret's reactor runs on
    #[arg(long, value_name = "NAME", default_value = "auto")]
    pub(crate) backend: BackendName,
    /// Shards: a count (unpinned), or CPUs to pin one shard each to, as @0,1
    #[arg(long, value_name = "N|@LIST", default_value = "1")]
    pub(crate) cores: Cores,
    /// Where the suite's Leveret servers answer calls
    #[arg(long, value_name = "NAME", default_value = "threads")]
    pub(crate) executor: ExecutorName,
    /// Microseconds Leveret's shards look for work before they sleep
    #[arg(long, value_name = "US", default_value_t = 0)]
    pub(crate) busy_poll: u64,
    #[command(subcommand)]
    pub(crate) mode: Option<Mode>,
}

impl Cli {
    /// How the suite's Leveret servers run.
    pub(crate) fn serving(&self) -> Serving {
        let (backend, executor, busy_poll) = (self.backend, self.executor, self.busy_poll);
        Serving { backend, executor, busy_poll }
    }
}

/// What only the suite takes.
#[derive(Debug, Args)]
pub(crate) struct Suite {
    /// Length of each measured window
    #[arg(long, value_name = "S", default_value_t = 1.5, value_parser = seconds)]
    pub(crate) seconds: f64,
    /// Payload of a message in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 200)]
    pub(crate) size: usize,
    /// Run only these workloads
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) only: Vec<Workload>,
    /// Interleaved pairs (5 with --against, else 1)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) pairs: Option<u16>,
    /// Measure these beside Leveret in the same run: raw, raw-kombu, lapin, amqprs, or Leveret in
    /// another configuration: leveret-pika, leveret-msgpack, leveret-auto, leveret-both,
    /// leveret-single, leveret-read-write, leveret-pool (of 2), leveret-per-shard
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) against: Vec<Contender>,
    /// List the workloads and stop
    #[arg(long)]
    pub(crate) list: bool,
}

/// What stands before the mode in the simulator's command line.
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

/// A side of the simulator.
#[derive(Debug, Subcommand)]
pub(crate) enum Mode {
    /// Answer calls as oslo.messaging's simulator does
    RpcServer(RpcServerArgs),
    /// Call or cast as oslo.messaging's simulator does
    RpcClient(RpcClientArgs),
    /// Hear notifications as oslo.messaging's simulator does
    NotifyServer(NotifyServerArgs),
    /// Hear notifications in batches of 1000, or of 5 seconds
    BatchNotifyServer(NotifyServerArgs),
    /// Notify as oslo.messaging's simulator does
    NotifyClient(NotifyClientArgs),
    /// Move a fleet of servers and clients from the kombu dialect to the pika dialect and back,
    /// one by one and under load, and count what was lost or done twice
    RollingUpdate(RollingUpdateArgs),
    /// Load a cluster from several processes, make one fault after the other, and count what was
    /// lost, executed twice, late or said falsely
    Chaos(chaos::ChaosArgs),
    /// A process of `chaos`; started by that itself, which says on standard input what to be
    #[command(hide = true)]
    ChaosWorker,
    /// Answer calls of a measured subject; started by the suite itself, which gives the URL on
    /// standard input
    #[command(hide = true)]
    AnswerCalls(AnswerCallsArgs),
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

/// Flags of `rpc-client`.
#[derive(Clone, Debug, Args)]
pub(crate) struct RpcClientArgs {
    /// Client threads
    #[arg(short = 'p', long, default_value_t = 1)]
    pub(crate) threads: usize,
    /// Messages each thread sends
    #[arg(short = 'm', long, default_value_t = 1)]
    pub(crate) messages: u64,
    /// Seconds to wait after each message; -1 goes on at once
    #[arg(short = 'w', long, default_value_t = -1.0, allow_negative_numbers = true)]
    pub(crate) wait_after_msg: f64,
    /// Seconds a call waits for its answer
    #[arg(long, default_value_t = 3.0)]
    pub(crate) timeout: f64,
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
    /// Send every notification back once
    #[arg(long)]
    pub(crate) requeue: bool,
}

/// Flags of `notify-client`.
#[derive(Clone, Debug, Args)]
pub(crate) struct NotifyClientArgs {
    /// Client threads
    #[arg(short = 'p', long, default_value_t = 1)]
    pub(crate) threads: usize,
    /// Notifications each thread sends
    #[arg(short = 'm', long, default_value_t = 1)]
    pub(crate) messages: u64,
    /// Seconds to wait after each; -1 goes on at once
    #[arg(short = 'w', long, default_value_t = -1.0, allow_negative_numbers = true)]
    pub(crate) wait_after_msg: f64,
    /// Seconds a notification waits for the broker
    #[arg(long, default_value_t = 3.0)]
    pub(crate) timeout: f64,
}

/// Flags of `rolling-update`.
#[derive(Clone, Debug, Args)]
pub(crate) struct RollingUpdateArgs {
    /// Servers
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = members)]
    pub(crate) servers: usize,
    /// Clients
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = members)]
    pub(crate) clients: usize,
    /// Requests a second of each client
    #[arg(long, value_name = "PER_S", default_value_t = 20.0, value_parser = per_second)]
    pub(crate) rate: f64,
    /// Seconds a call waits for its answer
    #[arg(long, value_name = "S", default_value_t = 10.0, value_parser = seconds)]
    pub(crate) timeout: f64,
    /// Seconds between two moves, and before a member that was replaced stops
    #[arg(long, value_name = "S", default_value_t = 0.5, value_parser = seconds)]
    pub(crate) dwell: f64,
    /// What is moved when
    #[arg(long, value_name = "NAME", default_value = "servers-first")]
    pub(crate) plan: Plan,
    /// In which order the members of a phase are moved
    #[arg(long, alias = "orders", value_name = "NAME", default_value = "forward")]
    pub(crate) order: Order,
    /// Of the random order; a random one by default, which is reported
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// How a member gives way to the next
    #[arg(long, value_name = "HOW", default_value = "start-first")]
    pub(crate) replace: Replace,
    /// Publish requests once and refuse what was delivered before, instead of at least once
    #[arg(long)]
    pub(crate) at_most_once: bool,
    /// Notify as well, and listen beside each server
    #[arg(long)]
    pub(crate) notify: bool,
    /// A Python that has oslo.messaging, to be the first of the old servers and clients
    #[arg(long, value_name = "FILE")]
    pub(crate) python: Option<PathBuf>,
    /// How many of the old servers, and of the old clients, are Python's
    #[arg(long, value_name = "N", default_value_t = 1, requires = "python")]
    pub(crate) python_members: usize,
}

/// What is moved when, from the kombu dialect to the pika dialect; back is the reverse of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Plan {
    /// Servers to both dialects, clients to auto, servers to pika, clients to pika.
    ServersFirst,
    /// Clients to auto, servers from kombu to pika at once, clients to pika.
    ClientsFirst,
}

/// In which order the members of a phase are moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Order {
    /// From the first to the last.
    Forward,
    /// From the last to the first.
    Reverse,
    /// Any.
    Random,
    /// Every order, one pass there and back for each.
    All,
}

/// How a member gives way to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Replace {
    /// The next one works before the old one stops.
    StartFirst,
    /// The old one stops before the next one starts; others serve meanwhile.
    StopFirst,
}

/// How a client tells its servers that it starts and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Sync {
    /// By a call to each target.
    Call,
    /// By a fanout cast.
    Fanout,
}

/// Flags of the hidden mode.
#[derive(Clone, Debug, Args)]
pub(crate) struct AnswerCallsArgs {
    #[arg(long)]
    pub(crate) subject: String,
    #[arg(long)]
    pub(crate) queue: String,
    /// Which of the queue's servers it is
    #[arg(long)]
    pub(crate) number: usize,
}

/// Turns the simulator's `-tp TOPIC` and `-tg TARGET…` into long options; all else passes.
pub(crate) fn rewrite(argv: impl IntoIterator<Item = String>) -> Vec<String> {
    let is_mode = |text: &str| {
        matches!(text, "rpc-server" | "rpc-client" | "notify-server" | "notify-client")
            || text == "batch-notify-server"
    };
    let mut out = Vec::new();
    let mut argv = argv.into_iter().peekable();
    while let Some(argument) = argv.next() {
        match argument.as_str() {
            "-tp" => out.push("--topic".to_owned()),
            "-tg" | "--targets" => {
                let ends = |text: &String| text.starts_with('-') || is_mode(text);
                while let Some(target) = argv.next_if(|next| !ends(next)) {
                    out.extend(["--targets".to_owned(), target]);
                }
            }
            _ => out.push(argument),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subject::PeerName;
    use crate::subject::leveret::variant::Variant;

    fn rewritten(line: &str) -> Vec<String> {
        rewrite(line.split(' ').map(str::to_owned))
    }

    fn parsed(line: &str) -> Cli {
        Cli::try_parse_from(rewritten(line)).unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    #[test]
    fn two_letter_flags_become_long_options() {
        assert_eq!(
            rewritten("x -tp t -tg a.b c. rpc-client -p 5 -tgx"),
            "x --topic t --targets a.b --targets c. rpc-client -p 5 -tgx"
                .split(' ')
                .collect::<Vec<_>>()
        );
    }

    #[test]
    fn the_simulator_s_own_command_lines_are_understood() {
        let cli = parsed(
            "x --url rabbit://h -d -tp t -s one -l 9 -j f.json rpc-server -w -1 -e eventlet",
        );
        assert_eq!((cli.simulator.topic.as_str(), cli.simulator.server.as_str()), ("t", "one"));
        assert_eq!(cli.simulator.limit_seconds, Some(9.0));
        assert!(matches!(cli.mode, Some(Mode::RpcServer(_))));

        let cli = parsed("x -tg a.b c. -l 3 rpc-client -p 5 -m 100 -w 0.1 --is-cast --sync fanout");
        assert_eq!(cli.simulator.targets, ["a.b", "c."]);
        let Some(Mode::RpcClient(client)) = cli.mode else { panic!("a client") };
        assert_eq!((client.threads, client.messages, client.wait_after_msg), (5, 100, 0.1));
        assert_eq!((client.is_cast, client.sync), (true, Some(Sync::Fanout)));

        let cli = parsed("x -tp t -l 3 batch-notify-server -w -1 --requeue");
        assert!(matches!(cli.mode, Some(Mode::BatchNotifyServer(args)) if args.requeue));
        let cli = parsed("x -tp t notify-client -p 2 -m 10 -w 0.5 --timeout 9");
        let Some(Mode::NotifyClient(client)) = cli.mode else { panic!("a client") };
        assert_eq!((client.threads, client.messages, client.timeout), (2, 10, 9.0));
    }

    #[test]
    fn the_suite_takes_lists_and_refuses_unknown_names() {
        let cli =
            parsed("x --only call-1,fanout --against raw,leveret-pika --pairs 3 --cores @0,1");
        assert_eq!(cli.suite.only.len(), 2);
        let against = [Contender::Peer(PeerName::Raw), Contender::Leveret(Variant::Pika)];
        assert_eq!(cli.suite.against, against);
        assert!(Cli::try_parse_from(["x", "--against", "leveret"]).is_err(), "itself");
        assert!(Cli::try_parse_from(["x", "--only", "nothing"]).is_err());
        assert!(Cli::try_parse_from(["x", "--seconds", "0"]).is_err());
        assert!(Cli::try_parse_from(["x", "--pairs", "0"]).is_err());
        assert!(Cli::try_parse_from(["x", "--executor", "eventlet"]).is_err());
    }

    #[test]
    fn a_server_of_the_suite_is_told_how_to_run() {
        let cli = parsed(
            "x --backend epoll --executor inline --busy-poll 5 \
             answer-calls --subject a --queue q --number 0",
        );
        let (backend, executor) = (BackendName::Epoll, ExecutorName::Inline);
        assert_eq!(cli.serving(), Serving { backend, executor, busy_poll: 5 });
        assert_eq!(parsed("x").executor, ExecutorName::Threads);
    }

    #[test]
    fn no_argument_is_the_suite_with_the_simulator_s_defaults() {
        let cli = parsed("x");
        assert!(cli.mode.is_none() && cli.url.is_none() && cli.suite.only.is_empty());
        assert_eq!(cli.simulator.targets, ["profiler_topic.profiler_server"]);
    }
}
