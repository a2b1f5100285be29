//! A measured process of this program: reads its setup, and serves, or measures as it is told.

use std::io::{BufRead, Read, StdinLock, Write};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::broker::address::BrokerAddress;
use crate::load::workers::Workers;
use crate::measure::idle;
use crate::measure::protocol::{Command, READY, Report, Role, Sample, Setup, Window};
use crate::measure::window::{self, Mark};
use crate::subject::job::{Job, Subject};
use crate::subject::start;
use crate::workload::workload::{Operation, Workload};

/// Runs until standard input ends.
pub(crate) fn run() -> Result<()> {
    let mut stdin = std::io::stdin().lock();
    let mut line = String::new();
    stdin.read_line(&mut line)?;
    let setup: Setup = serde_json::from_str(&line).context("the first line is no setup")?;
    let workload: Workload = setup.workload.parse()?;
    let subject = start::named(&setup.subject.parse()?, &setup.placement()?, Path::new(""))?;
    let job = job(&setup, workload)?;
    match setup.role {
        Role::Server => {
            end_with_input(stdin);
            subject.serve(&job, setup.number, Box::new(|| say(&READY)))
        }
        Role::Client => {
            say(&READY);
            obey(subject.as_ref(), &job, stdin)
        }
    }
}

fn job(setup: &Setup, workload: Workload) -> Result<Job> {
    let mut random = fastrand::Rng::with_seed(setup.seed);
    // Lower-case letters, the same in every run.
    let mut body = |bytes: &usize| -> Arc<[u8]> {
        (0..*bytes).map(|_| random.lowercase() as u8).collect::<Vec<u8>>().into()
    };
    Ok(Job {
        workload,
        address: BrokerAddress::parse(&setup.url)?,
        queue: setup.topic.clone(),
        bodies: setup.sizes.iter().map(&mut body).collect(),
        rate: setup.rate,
    })
}

/// Measures a window for each command.
fn obey(subject: &dyn Subject, job: &Job, stdin: StdinLock<'_>) -> Result<()> {
    for line in stdin.lines() {
        let line = line?;
        let Command::Measure(window) =
            serde_json::from_str(&line).context("a command that this version does not know")?;
        match measured(subject, job, window) {
            Ok(sample) => say(&Report::Sample(Box::new(sample))),
            Err(error) => say(&Report::Failed(format!("{error:#}"))),
        }
    }
    Ok(())
}

fn measured(subject: &dyn Subject, job: &Job, window: Window) -> Result<Sample> {
    let mark = |mark| match mark {
        Mark::Begins => say(&Report::Begins(())),
        Mark::Ends => say(&Report::Ends(())),
    };
    if job.workload.operation == Operation::Idle {
        return idle::measure(subject, job, window, mark);
    }
    let mut workers = Workers::new().with_handicap(subject.slowdown());
    subject.start(job, &mut workers)?;
    let sample = window::measure(&job.workload, window, workers, mark)?;
    Ok(Sample { backend: subject.backend(), ..sample })
}

/// Ends this process when its input ends, so that it never outlives the process above.
fn end_with_input(stdin: StdinLock<'static>) {
    drop(stdin);
    std::thread::spawn(|| {
        let mut rest = [0; 64];
        while matches!(std::io::stdin().read(&mut rest), Ok(1..)) {}
        std::process::exit(0);
    });
}

/// Prints one line at once.
fn say(what: &impl Serialize) {
    let line = serde_json::to_string(what).unwrap_or_default();
    let mut out = std::io::stdout().lock();
    // Nobody reads it if the process above has gone; then the input ends as well.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
