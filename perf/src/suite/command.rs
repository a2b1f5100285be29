//! Runs a suite: makes a plan of the command line, and reports what it found.

use std::cell::Cell;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::cli::command_line::Cli;
use crate::cli::suite::{CompareArgs, Profile, QuickArgs, SuiteArgs};
use crate::measure::protocol::Window;
use crate::report::command::report;
use crate::report::machines::Named;
use crate::results::document::{MeasuredSubject, Results, SCHEMA};
use crate::results::{file, text};
use crate::subject::job::Subject;
use crate::subject::name::{SubjectKind, SubjectName};
use crate::subject::start;
use crate::suite::broker::{BrokerChoice, SuiteBroker};
use crate::suite::runner::{self, Findings, Plan, Windows};
use crate::suite::session::Surroundings;
use crate::suite::steal::Steal;
use crate::suite::{invocation, machine};
use crate::system::sys;
use crate::workload::catalogue::CATALOGUE;
use crate::workload::suite::Suite;
use crate::workload::workload::{Peer, Workload};

/// Default number of windows beside other subjects, enough for a median.
const PAIRS_AGAINST: u16 = 5;
/// Shortest and longest warm-up; otherwise it is a fifth of the window.
const WARMUP_MIN: Duration = Duration::from_millis(50);
const WARMUP_MAX: Duration = Duration::from_secs(1);

/// What a command has selected.
struct Selection {
    suite: Suite,
    workloads: Vec<Workload>,
    names: Vec<SubjectName>,
    windows: Windows,
    seconds: f64,
}

/// Runs the quick suite.
pub(crate) fn quick(cli: &Cli, args: &QuickArgs) -> Result<()> {
    if args.list {
        text::print_catalogue(CATALOGUE);
        return Ok(());
    }
    let leveret: SubjectName = "leveret".parse()?;
    let windows = args.pairs.unwrap_or(if args.against.is_empty() { 1 } else { PAIRS_AGAINST });
    let windows = usize::from(windows);
    let selection = Selection {
        suite: Suite::Quick,
        workloads: workloads(Suite::Quick, &args.suite),
        names: std::iter::once(leveret).chain(args.against.iter().cloned()).collect(),
        windows: Windows { min: windows, max: windows, per_block: 1 },
        seconds: args.suite.seconds.unwrap_or(1.2),
    };
    let choice = match &cli.url {
        Some(url) => BrokerChoice::Url(url),
        None if needs_broker(&selection.workloads) => BrokerChoice::Embedded,
        None => BrokerChoice::Needless,
    };
    run(cli, &args.suite, &selection, choice)
}

/// Runs `compare`.
pub(crate) fn compare(cli: &Cli, args: &CompareArgs) -> Result<()> {
    let names: Result<Vec<SubjectName>, _> = match args.subjects.is_empty() {
        true => args.suite.subjects().iter().map(|name| name.parse()).collect(),
        false => Ok(args.subjects.clone()),
    };
    let (min, max, seconds) = match args.profile {
        Profile::Quick => (10, 20, 0.5),
        Profile::Full => (10, 80, 1.0),
        Profile::Ci => (10, 40, 1.0),
    };
    let (min, max) = args.windows.map_or((min, max), |windows| (windows, windows));
    let selection = Selection {
        suite: args.suite,
        workloads: workloads(args.suite, &args.suite_args),
        names: names?,
        windows: Windows { min, max, per_block: 2 },
        seconds: args.suite_args.seconds.unwrap_or(seconds),
    };
    let choice = match &cli.url {
        Some(_) if args.embedded => bail!("--url and --embedded name two brokers: leave one out"),
        Some(url) => BrokerChoice::Url(url),
        None if !needs_broker(&selection.workloads) => BrokerChoice::Needless,
        None if args.embedded => BrokerChoice::Embedded,
        None => BrokerChoice::Private,
    };
    run(cli, &args.suite_args, &selection, choice)
}

fn workloads(suite: Suite, args: &SuiteArgs) -> Vec<Workload> {
    if args.only.is_empty() { suite.workloads() } else { args.only.clone() }
}

fn needs_broker(workloads: &[Workload]) -> bool {
    workloads.iter().any(|workload| workload.peer == Peer::Broker)
}

/// Runs and reports. A run that fails ends the suite; what was measured before is reported.
fn run(cli: &Cli, args: &SuiteArgs, selected: &Selection, choice: BrokerChoice<'_>) -> Result<()> {
    sys::note_signals();
    let mut notes = Vec::new();
    let subjects = subjects(cli, args, selected, &mut notes)?;
    let broker = SuiteBroker::start(choice)?;
    let placement = cli.placement();
    let surroundings = Surroundings {
        broker: &broker.address,
        broker_tls: broker.tls.as_ref(),
        placement: &placement,
        payload_bytes: args.size,
        has_warned: Cell::new(false),
    };
    let mut results = Results {
        schema: SCHEMA,
        date: invocation::date(),
        command: invocation::command_line(),
        suite: selected.suite.to_string(),
        machine: machine::describe(),
        subjects: subjects.iter().map(|subject| about(subject.as_ref())).collect(),
        ..Results::default()
    };
    results.machine.broker.clone_from(&broker.version);
    results.machine.executor = Some(cli.executor.to_string());
    results.machine.busy_poll_us = cli.busy_poll;
    if selected.windows.per_block > 1 {
        let cost = runner::cost_of_measuring(&surroundings)?;
        notes.push(format!("measuring takes {} ns of CPU for each message", cost.as_nanos()));
    }
    let plan = Plan {
        workloads: selected.workloads.clone(),
        subjects,
        windows: selected.windows,
        window: window(selected.seconds),
        surroundings,
    };
    let steal = Steal::begin();
    let mut findings = Findings::default();
    let ended = plan.run(&mut findings);
    if let Err(error) = &ended {
        notes.push(format!("the run ended before its end: {error:#}"));
    }
    notes.append(&mut findings.notes);
    notes.extend(findings.failures.iter().map(|failure| format!("not measured: {failure}")));
    notes.extend(steal.note());
    notes.extend(sys::how_to_count_syscalls());
    if selected.windows.per_block > 1 {
        notes.extend(findings.doubts());
    }
    results.machine.backend = findings.runs.iter().find_map(|run| run.backend.clone());
    (results.runs, results.comparisons) = (findings.runs, findings.comparisons);
    results.notes = notes;
    if !results.runs.is_empty() {
        text::print(&results);
    }
    if let Some(path) = &cli.json {
        file::write(path, &results)?;
    }
    let shown = Named { name: selected.suite.to_string(), results: &results };
    let reported = match results.runs.is_empty() {
        true => Ok(()),
        false => report(&[shown], &args.request()),
    };
    // Why the run ended says more than a threshold on what it has not measured.
    ended?;
    reported?;
    match findings.failures.first() {
        Some(failure) => bail!("not all was measured: {failure}"),
        None => Ok(()),
    }
}

/// A window with this measured phase.
fn window(seconds: f64) -> Window {
    let warmup = Duration::from_secs_f64(seconds / 5.0).clamp(WARMUP_MIN, WARMUP_MAX);
    let warmup_s = warmup.as_secs_f64();
    Window { warmup_s, seconds, count_s: warmup_s / 2.0 }
}

fn about(subject: &dyn Subject) -> MeasuredSubject {
    MeasuredSubject { name: subject.name().to_owned(), version: subject.version() }
}

/// The subjects. Those of a suite that this binary was built without are left out with a note;
/// those that were asked for by name must be there.
fn subjects(
    cli: &Cli,
    args: &SuiteArgs,
    selected: &Selection,
    notes: &mut Vec<String>,
) -> Result<Vec<Box<dyn Subject>>> {
    let (placement, python) = (cli.placement(), python(args));
    let mut found = Vec::new();
    for (at, name) in selected.names.iter().enumerate() {
        if selected.names[..at].iter().any(|other| other.text == name.text) {
            bail!("{} is named twice; copies of a build are told apart by their paths", name.text);
        }
        let is_default = selected.suite.subjects().contains(&name.text.as_str());
        match &name.kind {
            SubjectKind::Client(client) if is_default && !start::is_built_in(*client) => {
                notes.push(format!(
                    "{} is left out: this binary was built without --features peers",
                    name.text
                ));
            }
            _ => {
                let subject = start::named(name, &placement, &python)?;
                // What cannot be started is told before anything is measured.
                subject.program()?;
                found.push(subject);
            }
        }
    }
    Ok(found)
}

/// The Python that has oslo.messaging, or should have it.
fn python(args: &SuiteArgs) -> PathBuf {
    let named = args.python.clone();
    let named = named.or_else(|| std::env::var_os("LEVERET_PEERS_PYTHON").map(PathBuf::from));
    named.unwrap_or_else(|| {
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or("target".into(), PathBuf::from);
        target.join("peers-venv/bin/python")
    })
}
