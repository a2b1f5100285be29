//! Runs the suite: makes a plan of the command line, and reports of its runs.

use anyhow::{Context, Result};

use crate::broker_address::BrokerAddress;
use crate::cli::command_line::Cli;
use crate::in_process;
use crate::results::metrics;
use crate::results::sample::SuiteResults;
use crate::results::{json, text};
use crate::subject::clients;
use crate::subject::job::Subject;
use crate::subject::leveret::subject::Leveret;
use crate::subject::leveret::variant::Variant;
use crate::subject::name::SubjectName;
use crate::subject::raw::client;
use crate::suite::machine;
use crate::suite::runner::Plan;
use crate::workload::{CATALOGUE, Peer};

/// Default number of pairs in a comparison, enough for a median.
const PAIRS_AGAINST: u16 = 5;

/// Runs the suite and reports. A run that fails ends the suite; finished runs are reported.
pub(crate) fn run(cli: &Cli) -> Result<()> {
    if cli.suite.list {
        text::print_catalogue(&CATALOGUE);
        return Ok(());
    }
    let workloads =
        if cli.suite.only.is_empty() { CATALOGUE.to_vec() } else { cli.suite.only.clone() };
    let subjects = subjects(cli)?;
    let mut outcome = SuiteResults { machine: machine::describe(), ..SuiteResults::default() };
    outcome.machine.backend = subjects.first().and_then(|subject| subject.backend());
    outcome.machine.executor = Some(cli.executor.to_string());
    outcome.machine.busy_poll_us = cli.busy_poll;

    let needs_broker = workloads.iter().any(|workload| workload.peer == Peer::Broker);
    let (broker, _embedded) = match &cli.url {
        Some(url) => (BrokerAddress::parse(url)?, None),
        None if needs_broker => {
            let (address, peer) = in_process::broker()?;
            (address, Some(peer))
        }
        None => (BrokerAddress::local(([127, 0, 0, 1], 0).into()), None),
    };
    if needs_broker {
        outcome.machine.broker = Some(client::broker_version(&broker)?);
    }
    let plan = Plan {
        workloads,
        subjects,
        pairs: usize::from(cli.suite.pairs.unwrap_or(default_pairs(cli))),
        seconds: cli.suite.seconds,
        payload_bytes: cli.suite.size,
        server_options: cli.server_options(),
        broker,
    };
    let ended = plan.run(|run| outcome.runs.push(run));
    let subject = plan.subjects.first().context("a plan has a subject")?.name();
    outcome.ratios = metrics::ratios(&outcome.runs, subject);
    if !outcome.runs.is_empty() {
        text::print(&outcome);
    }
    if let Some(path) = &cli.json {
        json::write(path, &outcome)?;
    }
    ended
}

fn default_pairs(cli: &Cli) -> u16 {
    if cli.suite.against.is_empty() { 1 } else { PAIRS_AGAINST }
}

fn subjects(cli: &Cli) -> Result<Vec<Box<dyn Subject>>> {
    let leveret = Leveret::start(cli.server_options(), &cli.cores, Variant::Plain)?;
    let mut others: Vec<Box<dyn Subject>> = Vec::new();
    for name in &cli.suite.against {
        others.push(match name {
            SubjectName::Leveret(variant) => Box::new(leveret.other(*variant)),
            SubjectName::Peer(name) => clients::peer(*name)?,
        });
    }
    let ourselves: Box<dyn Subject> = Box::new(leveret);
    Ok(std::iter::once(ourselves).chain(others).collect())
}
