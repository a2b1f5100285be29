//! Runs a plan: each workload by each subject, window by window, in turn.
//!
//! Invariant: a run ends, whatever the broker does, and what was measured before is kept. Not here:
//! how a window is measured (`measure/`), figures and reports (`results/`).

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use fastrand::Rng;

use crate::measure::protocol::Window;
use crate::results::comparing;
use crate::results::comparison::{Comparison, Estimate, Verdict};
use crate::results::metrics;
use crate::results::run::Run;
use crate::subject::job::Subject;
use crate::subject::raw::client;
use crate::suite::order::Order;
use crate::suite::progress::Progress;
use crate::suite::session::{Session, Surroundings};
use crate::system::sys;
use crate::workload::workload::{Operation, Peer, Workload};

/// Callers in flight above which warming up takes longer, and how much longer.
const CROWD: usize = 1000;
const SLOW_WARMUP: f64 = 3.0;
/// A window holds this many latencies one after the other, or its percentiles are doubtful: what
/// takes longer is not in it.
const SHARE_MAX: f64 = 4.0;

/// Windows of each subject in a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Windows {
    pub(crate) min: usize,
    /// More than `min` are measured only while a comparison is unclear.
    pub(crate) max: usize,
    /// Windows of a block, whose sums are compared.
    pub(crate) per_block: usize,
}

/// What to run.
pub(crate) struct Plan<'a> {
    pub(crate) workloads: Vec<Workload>,
    /// The first is compared with each of the others.
    pub(crate) subjects: Vec<Box<dyn Subject>>,
    pub(crate) windows: Windows,
    pub(crate) window: Window,
    pub(crate) surroundings: Surroundings<'a>,
}

/// What a plan has found.
#[derive(Default)]
pub(crate) struct Findings {
    pub(crate) runs: Vec<Run>,
    pub(crate) comparisons: Vec<Comparison>,
    /// What a reader must know.
    pub(crate) notes: Vec<String>,
    /// What could not be measured, and why.
    pub(crate) failures: Vec<String>,
}

impl Plan<'_> {
    /// Runs everything. An error ends the plan; what was found until then is in `findings`.
    pub(crate) fn run(&self, findings: &mut Findings) -> Result<()> {
        let progress = Progress::new(self.expected_windows());
        let mut saturations = HashMap::new();
        for workload in &self.workloads {
            let able: Vec<&dyn Subject> = self
                .subjects
                .iter()
                .map(Box::as_ref)
                .filter(|one| one.measures(workload))
                .collect();
            if able.is_empty() {
                continue;
            }
            let rate = self.rate(workload, &able, &mut saturations, findings)?;
            self.run_workload(workload, able, rate, &progress, findings)?;
        }
        Ok(())
    }

    fn expected_windows(&self) -> usize {
        let able = |workload: &Workload| {
            self.subjects.iter().filter(|subject| subject.measures(workload)).count()
        };
        self.workloads.iter().map(|workload| able(workload) * self.windows.min).sum()
    }

    /// Measures a workload window by window. A subject that fails is left out with a note, unless
    /// the broker is gone: then nothing else can be measured either.
    fn run_workload<'a>(
        &'a self,
        workload: &'a Workload,
        mut able: Vec<&'a dyn Subject>,
        rate: Option<f64>,
        progress: &Progress,
        findings: &mut Findings,
    ) -> Result<()> {
        let mut measured = Vec::new();
        let mut kept = HashMap::new();
        let mut order = Order::new(able.len(), Rng::new());
        loop {
            let wanted = self.wanted(&able, &measured);
            if wanted.is_empty() {
                break;
            }
            if wanted.len() != order.len() {
                order = Order::new(wanted.len(), Rng::new());
            }
            for at in order.next().to_vec() {
                let subject = wanted[at];
                progress.begin(workload.name, subject.name());
                let run = self.one_window(workload, subject, rate, &mut kept);
                if sys::asked_to_stop() {
                    findings.add(measured, self);
                    bail!("stopped by a signal");
                }
                let error = match run {
                    Ok(run) => {
                        progress.end(&run);
                        measured.push(run);
                        continue;
                    }
                    Err(error) => error.context(format!("{workload} by {}", subject.name())),
                };
                if client::broker_version(self.surroundings.broker).is_err() && self.has_broker() {
                    findings.add(measured, self);
                    return Err(error.context("the broker is gone"));
                }
                findings.failures.push(format!("{error:#}"));
                measured.retain(|run: &Run| run.subject != subject.name());
                able.retain(|one| one.name() != subject.name());
                order = Order::new(able.len(), Rng::new());
                break;
            }
        }
        findings.add(measured, self);
        Ok(())
    }

    /// Whether there is a broker at all, which workloads of sinks and sources do not need.
    fn has_broker(&self) -> bool {
        self.workloads.iter().any(|workload| workload.peer == Peer::Broker)
    }

    /// The subjects that need another window: all at first, then the first and those whose
    /// comparison with it is not settled, in whole blocks.
    fn wanted<'a>(&self, able: &[&'a dyn Subject], measured: &[Run]) -> Vec<&'a dyn Subject> {
        let Windows { min, max, per_block } = self.windows;
        let count = |subject: &dyn Subject| {
            measured.iter().filter(|run| run.subject == subject.name()).count()
        };
        let Some((first, others)) = able.split_first() else { return Vec::new() };
        let windows = count(*first);
        if windows < min || windows % per_block != 0 {
            // Those that were settled before this block stay out of it.
            return able.iter().filter(|one| count(**one) >= windows).copied().collect();
        }
        let compared = if windows < max { self.compared(measured) } else { Vec::new() };
        let is_open = |subject: &&&dyn Subject| {
            let found = compared.iter().find(|one| one.against == subject.name());
            let figure = found.and_then(|one| deciding(one, measured));
            let blocks = found.map_or(0, |one| one.blocks);
            count(**subject) == windows && figure.is_some_and(|one| !one.is_settled(blocks))
        };
        let open: Vec<_> = others.iter().filter(is_open).copied().collect();
        if open.is_empty() { open } else { std::iter::once(*first).chain(open).collect() }
    }

    fn one_window<'a>(
        &'a self,
        workload: &'a Workload,
        subject: &'a dyn Subject,
        rate: Option<f64>,
        kept: &mut HashMap<String, Session<'a>>,
    ) -> Result<Run> {
        let is_kept = subject.starts_slowly() || workload.processes > 1;
        let mut session = match kept.remove(subject.name()) {
            Some(session) => session,
            None => Session::start(workload, subject, &self.surroundings, rate)?,
        };
        let run = session.window(self.window_of(workload))?;
        if is_kept {
            kept.insert(subject.name().to_owned(), session);
        }
        Ok(run)
    }

    /// Fleets take longer until all of them work, and callers in large numbers as well.
    fn window_of(&self, workload: &Workload) -> Window {
        let is_slow = workload.processes * workload.transports > 1
            || workload.outstanding.is_some_and(|callers| callers > CROWD);
        let factor = if is_slow { SLOW_WARMUP } else { 1.0 };
        Window { warmup_s: self.window.warmup_s * factor, ..self.window }
    }

    /// The rate of an open loop: a share of the least that a subject reaches in closed loop, so
    /// that all are offered the same.
    fn rate(
        &self,
        workload: &Workload,
        able: &[&dyn Subject],
        saturations: &mut HashMap<Operation, (f64, String)>,
        findings: &mut Findings,
    ) -> Result<Option<f64>> {
        let Some(percent) = workload.load else { return Ok(None) };
        if let Entry::Vacant(entry) = saturations.entry(workload.operation) {
            let mut least = (f64::INFINITY, String::new());
            for subject in able {
                let mut session = Session::start(workload, *subject, &self.surroundings, None)?;
                let run = session.window(self.window_of(workload))?;
                if run.rate_per_s < least.0 {
                    least = (run.rate_per_s, subject.name().to_owned());
                }
            }
            entry.insert(least);
        }
        let (saturation, subject) = &saturations[&workload.operation];
        let rate = saturation * f64::from(percent) / 100.0;
        findings.notes.push(format!(
            "{workload}: {rate:.0} a second are due, {percent} % of what {subject} does at \
             saturation"
        ));
        Ok(Some(rate))
    }

    fn compared(&self, runs: &[Run]) -> Vec<Comparison> {
        let names: Vec<&str> = self.subjects.iter().map(|subject| subject.name()).collect();
        comparing::comparisons(runs, &names, self.windows.per_block)
    }
}

impl Findings {
    fn add(&mut self, measured: Vec<Run>, plan: &Plan<'_>) {
        self.comparisons.extend(plan.compared(&measured));
        self.runs.extend(measured);
    }

    /// Says what the figures cannot tell: comparisons that stayed unclear, although as much was
    /// measured as was allowed, and windows that were shorter than their latencies.
    pub(crate) fn doubts(&self) -> Vec<String> {
        let unclear: Vec<String> = self
            .comparisons
            .iter()
            .filter(|one| {
                deciding(one, &self.runs).is_some_and(|ratio| ratio.verdict == Verdict::Unclear)
            })
            .map(|one| format!("{} against {}", one.workload, one.against))
            .collect();
        let mut doubts = Vec::new();
        if !unclear.is_empty() {
            doubts.push(format!(
                "this machine was too noisy, or the windows too few, for a verdict on {}: measure \
                 again when it is idle, or with more windows",
                unclear.join(", ")
            ));
        }
        let mut short: Vec<&str> = self
            .runs
            .iter()
            .filter(|run| run.latency_us.p90.is_some_and(|us| us / 1e6 > run.seconds / SHARE_MAX))
            .map(|run| run.workload.as_str())
            .collect();
        short.dedup();
        if !short.is_empty() {
            doubts.push(format!(
                "the windows are too short for the latencies of {}, which are therefore too low: \
                 measure with longer ones (--seconds)",
                short.join(", ")
            ));
        }
        doubts
    }
}

/// The figure that a comparison is decided by: the rate, or in an open loop, where all complete
/// what is due, the median latency.
fn deciding(one: &Comparison, runs: &[Run]) -> Option<Estimate> {
    let mut of_workload = runs.iter().filter(|run| run.workload == one.workload);
    match of_workload.any(|run| run.offered_per_s.is_some()) {
        true => one.p50,
        false => one.rate,
    }
}

/// What measuring a message costs: CPU time of a subject that does nothing.
pub(crate) fn cost_of_measuring(surroundings: &Surroundings<'_>) -> Result<Duration> {
    let workload: Workload = "engine-publish-sink".parse()?;
    let subject = crate::subject::nothing::Nothing;
    let mut session = Session::start(&workload, &subject, surroundings, None)?;
    let run = session.window(Window { warmup_s: 0.05, seconds: 0.2, count_s: 0.0 })?;
    let cost = metrics::typical(&[&run]).and_then(|run| run.client_cpu_us_per_msg);
    Ok(Duration::from_secs_f64(cost.context("its CPU time is counted")? / 1e6))
}
