//! Starts a rolling update, counts and reports.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use super::counts::{Counts, Lost, Traffic};
use super::environment::{Names, World};
use super::fleet::Fleet;
use super::ledger::Ledger;
use super::phases::{Phase, Size};
use super::report::{Outcome, PhaseCounts};
use super::{phases, report};
use crate::cli::command_line::Cli;
use crate::cli::rolling::{Replace, RollingUpdateArgs};
use crate::in_process;

/// Lost requests that are told one by one; all of them are counted.
const LOST_TOLD: usize = 20;

/// Runs the update and reports; an error if something was lost.
pub(crate) fn run(cli: &Cli, args: &RollingUpdateArgs) -> Result<()> {
    let seed = args.seed.unwrap_or_else(|| u64::from(fastrand::u32(..)));
    let size = size(args)?;
    let phases = phases::phases(args.plan, args.order, size, seed).map_err(anyhow::Error::msg)?;
    // Held until all is over.
    let (url, _embedded) = match &cli.url {
        Some(url) => (url.clone(), None),
        None => {
            let (place, broker) = in_process::broker()?;
            (place.url(), Some(broker))
        }
    };
    let world = Arc::new(world(cli, args, url));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_time().build()?;
    let (traffic, settled) =
        runtime.block_on(update(Arc::clone(&world), size, args.replace, &phases))?;
    let outcome = outcome(args, &world.ledger, &phases, &traffic, (seed, settled));
    outcome.print();
    if let Some(path) = &cli.json {
        outcome.write(path)?;
    }
    match outcome.total.objection(args.at_most_once) {
        Some(objection) => bail!("{objection}"),
        None => Ok(()),
    }
}

fn size(args: &RollingUpdateArgs) -> Result<Size> {
    let &RollingUpdateArgs { servers, clients, .. } = args;
    if args.replace == Replace::StopFirst && servers < 2 {
        bail!("a server may stop before the next one starts only where others serve");
    }
    let python = if args.python.is_some() { args.python_members } else { 0 };
    Ok(Size { servers, clients, python })
}

fn world(cli: &Cli, args: &RollingUpdateArgs, url: String) -> World {
    let seconds = Duration::from_secs_f64;
    World {
        url,
        engine: cli.serving().engine().with_cores((&cli.cores).into()),
        ledger: Arc::new(Ledger::new()),
        names: Names::of(args.servers),
        timeout: seconds(args.timeout),
        pause: seconds(1.0 / args.rate),
        dwell: seconds(args.dwell),
        at_most_once: args.at_most_once,
        notify: args.notify,
        python: args.python.clone(),
    }
}

/// Makes all moves; what was counted in each phase, and whether all was executed in the end.
async fn update(
    world: Arc<World>,
    size: Size,
    replace: Replace,
    phases: &[Phase],
) -> Result<(Vec<Traffic>, bool)> {
    let mut fleet = Fleet::start(Arc::clone(&world), size, replace).await?;
    let mut traffic = Vec::new();
    let mut before = Traffic::default();
    for (number, phase) in phases.iter().enumerate() {
        report::progress(number, phases.len(), &phase.name);
        world.ledger.enter(number);
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
    ledger: &Ledger,
    phases: &[Phase],
    traffic: &[Traffic],
    (seed, settled): (u64, bool),
) -> Outcome {
    let books = ledger.read();
    let of_phase = |(number, (phase, traffic)): (usize, (&Phase, &Traffic))| PhaseCounts {
        name: phase.name.clone(),
        moves: phase.moves.len(),
        counts: Counts::of(&books, Some(number), args.at_most_once, *traffic),
    };
    let phases = phases.iter().zip(traffic).enumerate().map(of_phase).collect();
    let mut sum = Traffic::default();
    traffic.iter().for_each(|traffic| sum += *traffic);
    Outcome {
        servers: args.servers,
        clients: args.clients,
        python_members: if args.python.is_some() { args.python_members } else { 0 },
        rate_per_s: args.rate,
        plan: name_of(args.plan),
        order: name_of(args.order),
        replace: name_of(args.replace),
        seed,
        at_most_once: args.at_most_once,
        notify: args.notify,
        settled,
        phases,
        lost: Lost::first(ledger, &books, LOST_TOLD),
        total: Counts::of(&books, None, args.at_most_once, sum),
        events: books.events,
    }
}

/// A value as the command line has it.
fn name_of(value: impl ValueEnum) -> String {
    value.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}
