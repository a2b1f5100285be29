//! Starts a rolling update, counts and reports.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::counts::{Counts, Lost, Traffic};
use super::environment::{Environment, ServerNames};
use super::fleet::Fleet;
use super::ledger::SharedLedger;
use super::phases::{FleetSize, Phase};
use super::report::{PhaseCounts, UpdateReport};
use super::{phases, report};
use crate::broker::in_process;
use crate::cli::command_line::Cli;
use crate::cli::rolling::{Replace, RollingUpdateArgs};
use crate::cli::values::name_of;
use crate::results::json;

/// Lost requests that the report lists; all are counted.
const LOST_LISTED: usize = 20;

/// Runs the update and reports; an error if something was lost.
pub(crate) fn run(cli: &Cli, args: &RollingUpdateArgs) -> Result<()> {
    let seed = args.seed.unwrap_or_else(|| u64::from(fastrand::u32(..)));
    let size = size(args)?;
    let phases = phases::phases(args.plan, args.order, size, seed).map_err(anyhow::Error::msg)?;
    // The embedded broker stops when this is dropped.
    let (url, _embedded) = match &cli.url {
        Some(url) => (url.clone(), None),
        None => {
            let (index, broker) = in_process::broker()?;
            (index.url(), Some(broker))
        }
    };
    let environment = Arc::new(environment(cli, args, url));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_time().build()?;
    let (traffic, settled) =
        runtime.block_on(update(Arc::clone(&environment), size, args.replace, &phases))?;
    let outcome = outcome(args, &environment.ledger, &phases, &traffic, (seed, settled));
    outcome.print();
    if let Some(path) = &cli.json {
        json::write(path, &outcome)?;
    }
    match outcome.total.objection(args.at_most_once) {
        Some(objection) => bail!("{objection}"),
        None => Ok(()),
    }
}

fn size(args: &RollingUpdateArgs) -> Result<FleetSize> {
    let &RollingUpdateArgs { servers, clients, .. } = args;
    if args.replace == Replace::StopFirst && servers < 2 {
        bail!("a server may stop before the next one starts only where others serve");
    }
    let python = if args.python.is_some() { args.python_members } else { 0 };
    Ok(FleetSize { servers, clients, python })
}

fn environment(cli: &Cli, args: &RollingUpdateArgs, url: String) -> Environment {
    let seconds = Duration::from_secs_f64;
    Environment {
        url,
        engine: cli.placement().engine(),
        ledger: Arc::new(SharedLedger::new()),
        names: ServerNames::of(args.servers),
        timeout: seconds(args.timeout),
        pause: seconds(1.0 / args.rate),
        dwell: seconds(args.dwell),
        at_most_once: args.at_most_once,
        notify: args.notify,
        python: args.python.clone(),
    }
}

/// Makes all moves; returns the traffic of each phase, and whether all accepted requests were
/// executed in the end.
async fn update(
    environment: Arc<Environment>,
    size: FleetSize,
    replace: Replace,
    phases: &[Phase],
) -> Result<(Vec<Traffic>, bool)> {
    let mut fleet = Fleet::start(Arc::clone(&environment), size, replace).await?;
    let mut traffic = Vec::new();
    let mut before = Traffic::default();
    for (number, phase) in phases.iter().enumerate() {
        report::progress(number, phases.len(), &phase.name);
        environment.ledger.enter(number);
        for one in &phase.moves {
            fleet.make(*one).await.with_context(|| format!("{one:?} in {:?}", phase.name))?;
        }
        fleet.dwell().await;
        let now = fleet.traffic();
        traffic.push(now.since(&before));
        before = now;
    }
    let is_settled = fleet.stop().await?;
    if let Some(last) = traffic.last_mut() {
        *last += fleet.traffic().since(&before);
    }
    Ok((traffic, is_settled))
}

fn outcome(
    args: &RollingUpdateArgs,
    ledger: &SharedLedger,
    phases: &[Phase],
    traffic: &[Traffic],
    (seed, settled): (u64, bool),
) -> UpdateReport {
    let entries = ledger.read();
    let of_phase = |(number, (phase, traffic)): (usize, (&Phase, &Traffic))| PhaseCounts {
        name: phase.name.clone(),
        moves: phase.moves.len(),
        counts: Counts::of(&entries, Some(number), args.at_most_once, *traffic),
    };
    let phases = phases.iter().zip(traffic).enumerate().map(of_phase).collect();
    let mut sum = Traffic::default();
    traffic.iter().for_each(|traffic| sum += *traffic);
    UpdateReport {
        servers: args.servers,
        clients: args.clients,
        python_members: if args.python.is_some() { args.python_members } else { 0 },
        rate_per_s: args.rate,
        plan: name_of(&args.plan),
        order: name_of(&args.order),
        replace: name_of(&args.replace),
        seed,
        at_most_once: args.at_most_once,
        notify: args.notify,
        settled,
        phases,
        lost: Lost::first(ledger, &entries, LOST_LISTED),
        total: Counts::of(&entries, None, args.at_most_once, sum),
        events: entries.events,
    }
}
