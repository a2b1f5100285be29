//! `leveret-perf`: how fast Leveret is, beside its peers, on this machine.
//!
//! Map: `cli` says what is wanted, `suite` makes a plan of it, `runner` runs the plan, `report`
//! shows the outcome. `workload` names what is done, `subject` who does it, `fixture` what it needs
//! around it; `stage`, `usage` and `metrics` measure; `sample` is the record between measuring and
//! reporting. Three other programs are in here: `simulator`, both sides of oslo.messaging's load
//! tool, `rolling`, which moves a fleet from one dialect to the other under load, and `chaos`,
//! which makes faults under load.

mod alloc;
mod chaos;
mod child;
mod cli;
mod clock;
mod fixture;
mod machine;
mod metrics;
mod peer_process;
mod peers;
mod place;
mod placement;
mod progress;
mod report;
mod rolling;
mod runner;
mod sample;
mod simulator;
mod stage;
mod subject;
mod suite;
mod sys;
mod usage;
mod workload;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use tracing_subscriber::EnvFilter;

use crate::cli::{Cli, Mode};
use crate::subject::contender::Contender;
use crate::subject::leveret::Leveret;

#[global_allocator]
static ALLOCATOR: alloc::CountingAllocator = alloc::CountingAllocator;

/// Exit status of a run that could not be made or finished; clap takes 2 for a wrong command line.
const FAILED: u8 = 1;

#[expect(clippy::print_stderr, reason = "the last word of a failed program")]
fn main() -> ExitCode {
    let cli = Cli::parse_from(cli::rewrite(std::env::args()));
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
        None => suite::run(cli),
        Some(Mode::AnswerCalls(args)) => match Contender::of_child(&args.subject)? {
            Contender::Leveret(variant) => {
                let leveret = Leveret::start(cli.serving(), &cli.cores, variant)?;
                child::answer_calls(args, &leveret)
            }
            Contender::Peer(name) => child::answer_calls(args, subject::peer(name)?.as_ref()),
        },
        Some(Mode::RpcServer(args)) => simulator::server::run(cli, args),
        Some(Mode::RpcClient(args)) => simulator::client::run(cli, args),
        Some(Mode::NotifyServer(args)) => simulator::notify_server::run(cli, args, false),
        Some(Mode::BatchNotifyServer(args)) => simulator::notify_server::run(cli, args, true),
        Some(Mode::NotifyClient(args)) => simulator::notify_client::run(cli, args),
        Some(Mode::RollingUpdate(args)) => rolling::run(cli, args),
        Some(Mode::Chaos(args)) => chaos::run(cli, args),
        Some(Mode::ChaosWorker) => chaos::work(cli),
    }
}
