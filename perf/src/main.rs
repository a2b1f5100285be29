//! `leveret-perf`: how fast Leveret is, beside its peers, on this machine.
//!
//! Map: `cli` reads the command line. Four programs are in here: `suite`, which measures;
//! `simulator`, both sides of oslo.messaging's load tool; `rolling`, which moves a fleet from one
//! dialect to the other under load; and `chaos`, which makes faults under load. Under them,
//! `workload` names what is done and `subject` who does it; `run_state` holds what worker threads
//! count; `results` is the record between measuring and reporting, and what is made of it.

mod broker_address;
mod chaos;
mod cli;
mod in_process;
mod placement;
mod results;
mod rolling;
mod run_state;
mod simulator;
mod subject;
mod suite;
mod system;
mod workload;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use tracing_subscriber::EnvFilter;

use crate::cli::command_line::{Cli, Mode, rewrite};
use crate::subject::clients;
use crate::subject::leveret::subject::Leveret;
use crate::subject::name::SubjectName;
use crate::suite::server_process;
use crate::system::alloc::CountingAllocator;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Exit status of a run that could not be made or finished; clap takes 2 for a wrong command line.
const FAILED: u8 = 1;

#[expect(clippy::print_stderr, reason = "the last word of a failed program")]
fn main() -> ExitCode {
    let cli = Cli::parse_from(rewrite(std::env::args()));
    log_to_stderr(cli.simulator.debug);
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("leveret-perf: {error:#}");
            ExitCode::from(FAILED)
        }
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
        None => suite::command::run(cli),
        Some(Mode::AnswerCalls(args)) => match SubjectName::of_child(&args.subject)? {
            SubjectName::Leveret(variant) => {
                let leveret = Leveret::start(cli.server_options(), &cli.cores, variant)?;
                server_process::answer_calls(args, &leveret)
            }
            SubjectName::Peer(name) => {
                server_process::answer_calls(args, clients::peer(name)?.as_ref())
            }
        },
        Some(Mode::RpcServer(args)) => simulator::rpc_server::run(cli, args),
        Some(Mode::RpcClient(args)) => simulator::rpc_client::run(cli, args),
        Some(Mode::NotifyServer(args)) => simulator::notify_server::run(cli, args, false),
        Some(Mode::BatchNotifyServer(args)) => simulator::notify_server::run(cli, args, true),
        Some(Mode::NotifyClient(args)) => simulator::notify_client::run(cli, args),
        Some(Mode::RollingUpdate(args)) => rolling::command::run(cli, args),
        Some(Mode::Chaos(args)) => chaos::command::run(cli, args),
        Some(Mode::ChaosWorker) => chaos::command::work(cli),
    }
}
