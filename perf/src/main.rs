//! `leveret-perf`: how fast Leveret is, beside its peers, on this machine.
//!
//! Map: `cli` reads the command line. Four programs are in here: `suite`, which measures;
//! `simulator`, both sides of oslo.messaging's load tool; `rolling`, which moves a fleet from one
//! dialect to the other under load; and `chaos`, which makes faults under load. Under them,
//! `workload` names what is done and `subject` who does it; `run_state` holds what worker threads
//! count; `results` is the record between measuring and reporting, and what is made of it; `report`
//! makes pages and Markdown of files of results and checks thresholds.

mod broker;
mod chaos;
mod cli;
mod load;
mod measure;
mod placement;
mod report;
mod results;
mod rolling;
mod simulator;
mod subject;
mod suite;
mod system;
mod workload;

use std::process::ExitCode;

use anyhow::Result;
use clap::{CommandFactory, Parser};
use tracing_subscriber::EnvFilter;

use crate::cli::command_line::{Cli, Mode, rewrite};
use crate::report::threshold::ThresholdsExceeded;
use crate::system::alloc::CountingAllocator;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Exit status of a run that could not be made or finished; clap takes 2 for a wrong command line.
const FAILED: u8 = 1;
/// Exit status of a command whose results exceed a threshold of `--fail-if`.
const EXCEEDED: u8 = 4;

#[expect(clippy::print_stderr, reason = "the last word of a failed program")]
fn main() -> ExitCode {
    let cli = Cli::parse_from(rewrite(std::env::args()));
    log_to_stderr(cli.simulator.debug);
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => match error.downcast_ref::<ThresholdsExceeded>() {
            Some(ThresholdsExceeded(all)) => {
                all.iter().for_each(|one| eprintln!("leveret-perf: {one}"));
                ExitCode::from(EXCEEDED)
            }
            None => {
                eprintln!("leveret-perf: {error:#}");
                ExitCode::from(FAILED)
            }
        },
    }
}

/// Warnings, or more where `RUST_LOG` or `--debug` ask for it.
fn log_to_stderr(debug: bool) {
    let level = if debug { "debug" } else { "warn" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}

fn run(cli: &Cli) -> Result<()> {
    match &cli.mode {
        None => suite::command::quick(cli, &cli.quick),
        Some(Mode::Compare(args)) => suite::command::compare(cli, args),
        Some(Mode::Completions(args)) => Ok(cli::shell::completions(Cli::command(), *args)?),
        Some(Mode::Man) => Ok(cli::shell::manual(Cli::command())?),
        Some(Mode::Measure) => measure::process::run(),
        Some(Mode::RpcServer(args)) => simulator::rpc_server::run(cli, args),
        Some(Mode::RpcClient(args)) => simulator::rpc_client::run(cli, args),
        Some(Mode::NotifyServer(args)) => simulator::notify_server::run(cli, args, false),
        Some(Mode::BatchNotifyServer(args)) => simulator::notify_server::run(cli, args, true),
        Some(Mode::NotifyClient(args)) => simulator::notify_client::run(cli, args),
        Some(Mode::RollingUpdate(args)) => rolling::command::run(cli, args),
        Some(Mode::Chaos(args)) => chaos::command::run(cli, args),
        Some(Mode::Report(args)) => report::command::run(&args.files, &args.request()),
        Some(Mode::ChaosWorker) => chaos::command::work(cli),
    }
}
