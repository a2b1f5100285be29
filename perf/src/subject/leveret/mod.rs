//! Leveret itself: its engine in the `engine-*` workloads, its driver in all others.
//!
//! Everything goes through public doors, as a user's program would. Not here: internals, shortcuts
//! for benchmarks.

mod driver;
mod engine;

use anyhow::{Context, Result};
use leveret_engine::Engine;

use super::{Job, Subject, oslo_exchange, oslo_routing_key};
use crate::place::Place;
use crate::placement::{Cores, ExecutorName, Serving};
use crate::stage::Crew;
use crate::workload::Workload;

/// The subject `leveret`.
pub(crate) struct Leveret {
    engine: Engine,
    executor: ExecutorName,
}

impl Leveret {
    /// The name of this subject.
    pub(crate) const NAME: &'static str = "leveret";

    /// Starts an engine, which all runs of this subject share.
    pub(crate) fn start(serving: Serving, cores: &Cores) -> Result<Self> {
        let config = serving.engine().with_cores(cores.into());
        let engine = Engine::start(config).context("the engine does not start")?;
        Ok(Self { engine, executor: serving.executor })
    }
}

impl Subject for Leveret {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn measures(&self, _workload: &Workload) -> bool {
        true
    }

    fn dialect(&self, workload: &Workload) -> Option<&'static str> {
        workload.through_driver().then_some("kombu")
    }

    fn exchange(&self, workload: &Workload, topic: &str) -> Option<String> {
        workload.through_driver().then(|| oslo_exchange(topic))
    }

    fn queue(&self, workload: &Workload, topic: &str) -> String {
        oslo_routing_key(workload.operation, topic)
    }

    fn routing_key(&self, workload: &Workload, topic: &str) -> String {
        oslo_routing_key(workload.operation, topic)
    }

    fn backend(&self) -> Option<String> {
        Some(self.engine.backend().to_string())
    }

    fn start(&self, job: &Job, crew: &mut Crew) -> Result<()> {
        if job.workload.through_driver() {
            driver::start(&self.engine, job, crew)
        } else {
            engine::start(&self.engine, job, crew)
        }
    }

    fn queues_of_server(&self, topic: &str, n: usize) -> Vec<String> {
        vec![topic.to_owned(), format!("{topic}.{}", driver::server(n))]
    }

    fn serve(&self, place: &Place, queue: &str, n: usize, ready: Box<dyn FnOnce()>) -> Result<()> {
        driver::serve(&self.engine, self.executor, place, queue, n, ready)
    }
}
