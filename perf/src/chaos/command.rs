//! Starts a chaos run, or reports on the records of earlier ones.

use std::os::unix::process::CommandExt as _;

use anyhow::{Context as _, Result, bail};
use leveret_support::Network;

use super::results::record::Record;
use super::results::report;
use super::run::Run;
use super::sequence::sequence;
use super::site::{PrivateSite, RemoteSite, Site};
use super::worker;
use crate::cli::chaos::{ChaosArgs, ChaosSubject, FaultKind};
use crate::cli::command_line::Cli;
use crate::results::json;
use crate::system::sys;

/// Makes the faults and reports, or reports on earlier runs. A broken promise is an error.
pub(crate) fn run(cli: &Cli, args: &ChaosArgs) -> Result<()> {
    if !args.merge.is_empty() {
        let records = args.merge.iter().map(|path| Record::read(path));
        return report::report(&records.collect::<Result<Vec<_>>>()?);
    }
    if args.subject == ChaosSubject::Oslo && args.python.is_none() {
        bail!("--subject oslo needs --python, a Python that has oslo.messaging");
    }
    if args.subject == ChaosSubject::Oslo && !args.options.is_empty() {
        bail!("--option is for Leveret's transports: leave it out with --subject oslo");
    }
    if wants_networks(cli, args) && Network::is_possible() {
        return go_on_in_own_network();
    }
    let seed = args.seed.unwrap_or_else(|| u64::from(fastrand::u32(..)));
    let tag = format!("chaos{:08x}", fastrand::u32(..));
    let site: Box<dyn Site> = match &cli.url {
        Some(url) => Box::new(RemoteSite::open(url, args.hook.as_deref())?),
        None => {
            report::progress(&format!("starting {} nodes", args.nodes));
            let nodes = usize::from(args.nodes);
            let network = is_in_own_network().then(|| Network::start(nodes)).transpose()?;
            Box::new(PrivateSite::start(nodes, network, &tag)?)
        }
    };
    let kinds = kinds(args, site.as_ref())?;
    let faults = sequence(seed, &kinds, site.nodes(), args.from..args.faults);
    // A run that is stopped reports what it has seen.
    sys::note_signals();
    let record = Run::start(cli, args, (seed, tag), site)?.make(&faults)?;
    if let Some(path) = &cli.json {
        json::write(path, &record)?;
    }
    report::report(&[record])
}

/// Environment variable that is set in the process with a network namespace of its own.
const IN_OWN_NETWORK: &str = "LEVERET_CHAOS_IN_OWN_NETWORK";

/// Whether the run needs a network for each node, to cut nodes off from each other.
fn wants_networks(cli: &Cli, args: &ChaosArgs) -> bool {
    let cuts = args.kinds.is_empty() || args.kinds.contains(&FaultKind::Cut);
    cli.url.is_none() && cuts && args.nodes > 1 && !args.no_networks && !is_in_own_network()
}

fn is_in_own_network() -> bool {
    std::env::var_os(IN_OWN_NETWORK).is_some()
}

/// Executes this program again in a network namespace of its own. Returns only if that fails.
fn go_on_in_own_network() -> Result<()> {
    let program = std::env::current_exe().context("this program has no path")?;
    let mut command = Network::own_namespace(&program);
    command.args(std::env::args_os().skip(1)).env(IN_OWN_NETWORK, "1");
    Err(command.exec()).context("there is no network namespace of our own")
}

/// Runs a process of the fleet.
pub(crate) fn work(cli: &Cli) -> Result<()> {
    // The end of its standard input ends the process, not a signal.
    sys::note_signals();
    worker::run::run(cli.placement().engine())
}

/// The kinds of faults of the run.
fn kinds(args: &ChaosArgs, site: &dyn Site) -> Result<Vec<FaultKind>> {
    let possible = site.kinds();
    if let Some(kind) = args.kinds.iter().find(|kind| !possible.contains(kind)) {
        bail!("{} cannot be made there without --hook", kind.name());
    }
    Ok(if args.kinds.is_empty() { possible } else { args.kinds.clone() })
}
