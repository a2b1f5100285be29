//! Leveret as a subject, in one variant; its runs share one engine.

use anyhow::{Context, Result};
use leveret_engine::Engine;

use super::variant::Variant;
use super::{driver, engine};
use crate::broker_address::BrokerAddress;
use crate::placement::{Cores, ExecutorName, ServerOptions};
use crate::run_state::Workers;
use crate::subject::job::{Exchange, Job, Subject};
use crate::workload::Workload;

/// The subject `leveret`, or one of its variants.
pub(crate) struct Leveret {
    engine: Engine,
    executor: ExecutorName,
    variant: Variant,
}

impl Leveret {
    /// Starts an engine, which all runs of this subject share.
    pub(crate) fn start(
        server_options: ServerOptions,
        cores: &Cores,
        variant: Variant,
    ) -> Result<Self> {
        let config = server_options.engine().with_cores(cores.into());
        let engine = Engine::start(config).context("the engine does not start")?;
        Ok(Self { engine, executor: server_options.executor, variant })
    }

    /// Another variant on the same engine, which is idle while others are measured.
    pub(crate) fn other(&self, variant: Variant) -> Self {
        Self { engine: self.engine.clone(), executor: self.executor, variant }
    }
}

impl Subject for Leveret {
    fn name(&self) -> &'static str {
        self.variant.name()
    }

    fn measures(&self, workload: &Workload) -> bool {
        self.variant.measures(workload)
    }

    fn dialect(&self, workload: &Workload) -> Option<&'static str> {
        workload.through_driver().then(|| self.variant.dialect())
    }

    fn exchanges(&self, workload: &Workload, topic: &str) -> Vec<Exchange> {
        match workload.through_driver() {
            true => self.variant.exchanges(workload, topic),
            false => Vec::new(),
        }
    }

    fn queue(&self, workload: &Workload, topic: &str) -> String {
        self.variant.queue(workload.operation, topic)
    }

    fn routing_key(&self, workload: &Workload, topic: &str) -> String {
        self.variant.queue(workload.operation, topic)
    }

    fn backend(&self) -> Option<String> {
        Some(self.engine.backend().to_string())
    }

    fn start(&self, job: &Job, workers: &mut Workers) -> Result<()> {
        if job.workload.through_driver() {
            driver::start(&self.engine, self.variant, job, workers)
        } else {
            engine::start(&self.engine, job, workers)
        }
    }

    fn queues_of_server(&self, topic: &str, n: usize) -> Vec<String> {
        self.variant.queues_of_server(topic, n)
    }

    fn serve(
        &self,
        address: &BrokerAddress,
        queue: &str,
        n: usize,
        ready: Box<dyn FnOnce()>,
    ) -> Result<()> {
        let transport = driver::transport(&self.engine, self.variant, address, queue)?;
        driver::serve(&transport, self.executor, queue, n, ready)
    }
}
