//! The command line of all programs.
//!
//! Without a mode the suite runs. clap cannot express the options `-tp` and `-tg` of
//! oslo.messaging's simulator; [`rewrite`] turns them into long options first.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::cli::chaos::ChaosArgs;
use crate::cli::report::ReportArgs;
use crate::cli::rolling::RollingUpdateArgs;
use crate::cli::shell::CompletionsArgs;
use crate::cli::simulator::{
    NotifyClientArgs, NotifyServerArgs, RpcClientArgs, RpcServerArgs, Simulator,
};
use crate::cli::suite::{CompareArgs, QuickArgs};
use crate::cli::values::url;
use crate::placement::{BackendName, Cores, ExecutorName, Placement, ServerOptions};

/// Leveret's perf suite: casts, calls and fanout, beside other clients. Without arguments it takes
/// less than 40 seconds, on a broker inside this process.
#[derive(Debug, Parser)]
#[command(name = "leveret-perf", version, args_conflicts_with_subcommands = false)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) quick: QuickArgs,
    #[command(flatten)]
    pub(crate) simulator: Simulator,
    /// Broker, as rabbit://user:password@host:port/vhost, or @ and a file whose first line is that,
    /// so that nobody reads the password in a list of processes. Without it a suite runs on an
    /// embedded broker, and `compare` on a RabbitMQ that it starts
    #[arg(long, value_name = "URL|@FILE", global = true, value_parser = url)]
    #[arg(env = "LEVERET_PERF_URL", hide_env_values = true)]
    pub(crate) url: Option<String>,
    /// Write the results as JSON as well
    #[arg(short, long, value_name = "FILE", global = true)]
    pub(crate) json: Option<PathBuf>,
    /// Backend of Leveret's reactor
    #[arg(long, value_name = "NAME", default_value = "auto")]
    pub(crate) backend: BackendName,
    /// Shards: a count (unpinned), or CPUs to pin one shard each to, as @0,1
    #[arg(long, value_name = "N|@LIST", default_value = "1")]
    pub(crate) cores: Cores,
    /// Where Leveret's servers of the suite run methods
    #[arg(long, value_name = "NAME", default_value = "threads")]
    pub(crate) executor: ExecutorName,
    /// Microseconds that Leveret's shards poll before they sleep
    #[arg(long, value_name = "US", default_value_t = 0)]
    pub(crate) busy_poll: u64,
    #[command(subcommand)]
    pub(crate) mode: Option<Mode>,
}

impl Cli {
    /// How and where the suite's Leveret runs.
    pub(crate) fn placement(&self) -> Placement {
        let (backend, executor, busy_poll) = (self.backend, self.executor, self.busy_poll);
        let options = ServerOptions { backend, executor, busy_poll };
        Placement { options, cores: self.cores.clone(), ..Placement::default() }
    }
}

/// A program other than the suite.
#[derive(Debug, Subcommand)]
pub(crate) enum Mode {
    /// Answer calls as oslo.messaging's simulator does
    RpcServer(RpcServerArgs),
    /// Call or cast as oslo.messaging's simulator does
    RpcClient(RpcClientArgs),
    /// Receive notifications as oslo.messaging's simulator does
    NotifyServer(NotifyServerArgs),
    /// Receive notifications in batches of 1000, or of 5 seconds
    BatchNotifyServer(NotifyServerArgs),
    /// Notify as oslo.messaging's simulator does
    NotifyClient(NotifyClientArgs),
    /// Move a fleet of servers and clients from the kombu dialect to the pika dialect and back, one
    /// by one and under load, and count what was lost or executed twice
    RollingUpdate(RollingUpdateArgs),
    /// Load a cluster from several processes, make one fault after the other, and count what was
    /// lost, executed twice, late or reported falsely
    Chaos(ChaosArgs),
    /// Make a report of files of results, as Markdown or as an HTML page, and check thresholds
    Report(ReportArgs),
    /// A process of `chaos`, which starts it and writes its setup to standard input
    #[command(hide = true)]
    ChaosWorker,
    /// Compare subjects: other clients, other configurations, another build of this program.
    /// Windows are interleaved, and verdicts are given only beyond 95 % intervals
    Compare(CompareArgs),
    /// Print what makes a shell complete this command line
    Completions(CompletionsArgs),
    /// Print the manual page
    Man,
    /// A measured process; a suite starts it and writes its setup to standard input
    #[command(hide = true)]
    Measure,
}

/// Turns the simulator's `-tp TOPIC` and `-tg TARGET…` into long options.
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
    use crate::cli::simulator::Sync;
    use crate::cli::suite::Profile;
    use crate::workload::suite::Suite;

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
        let load = &client.load;
        assert_eq!((load.threads, load.messages, load.wait_after_msg), (5, 100, 0.1));
        assert_eq!((client.is_cast, client.sync), (true, Some(Sync::Fanout)));

        let cli = parsed("x -tp t -l 3 batch-notify-server -w -1 --requeue");
        assert!(matches!(cli.mode, Some(Mode::BatchNotifyServer(args)) if args.requeue));
        let cli = parsed("x -tp t notify-client -p 2 -m 10 -w 0.5 --timeout 9");
        let Some(Mode::NotifyClient(client)) = cli.mode else { panic!("a client") };
        let load = &client.load;
        assert_eq!((load.threads, load.messages, load.timeout), (2, 10, 9.0));
    }

    #[test]
    fn the_suite_takes_lists_and_refuses_unknown_names() {
        let cli =
            parsed("x --only call-1,fanout --against raw,leveret-pika --pairs 3 --cores @0,1");
        assert_eq!(cli.quick.suite.only.len(), 2);
        let against: Vec<&str> = cli.quick.against.iter().map(|name| name.text.as_str()).collect();
        assert_eq!(against, ["raw", "leveret-pika"]);
        assert!(Cli::try_parse_from(["x", "--against", "nobody"]).is_err());
        assert!(Cli::try_parse_from(["x", "--only", "nothing"]).is_err());
        assert!(Cli::try_parse_from(["x", "--seconds", "0"]).is_err());
        assert!(Cli::try_parse_from(["x", "--pairs", "0"]).is_err());
        assert!(Cli::try_parse_from(["x", "--executor", "eventlet"]).is_err());
    }

    #[test]
    fn the_suite_s_leveret_runs_as_it_is_told() {
        let cli = parsed("x --backend epoll --executor inline --busy-poll 5 --cores @1");
        let (backend, executor) = (BackendName::Epoll, ExecutorName::Inline);
        let options = ServerOptions { backend, executor, busy_poll: 5 };
        assert_eq!(
            cli.placement(),
            Placement { options, cores: Cores::Pinned(vec![1]), ..Placement::default() }
        );
        assert_eq!(parsed("x").placement(), Placement::default());
    }

    #[test]
    fn compare_takes_subjects_of_any_kind_and_even_windows() {
        let cli = parsed("x compare --suite announcement leveret?backend=epoll ./old/leveret-perf");
        let Some(Mode::Compare(args)) = cli.mode else { panic!("compare") };
        assert_eq!((args.suite, args.subjects.len()), (Suite::Announcement, 2));
        assert_eq!((args.profile, args.windows), (Profile::Full, None));
        assert!(Cli::try_parse_from(["x", "compare", "--windows", "7"]).is_err());
        assert!(Cli::try_parse_from(["x", "compare", "--suite", "none"]).is_err());
    }

    #[test]
    fn no_argument_is_the_suite_with_the_simulator_s_defaults() {
        let cli = parsed("x");
        assert!(cli.mode.is_none() && cli.url.is_none() && cli.quick.suite.only.is_empty());
        assert_eq!(cli.simulator.targets, ["profiler_topic.profiler_server"]);
    }
}
