//! Leveret as a subject, in one configuration; its runs share one engine.

use std::any::Any;
use std::pin::pin;
use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result};
use leveret_engine::{BackendKind, Engine, block_on};

use super::variant::Variant;
use super::{driver, engine, hosted};
use crate::load::workers::Workers;
use crate::placement::Placement;
use crate::subject::job::{Exchange, Job, Subject};
use crate::subject::promises;
use crate::workload::promises::Promises;
use crate::workload::workload::{Operation, Peer, Workload};

/// Leveret in one configuration.
pub(crate) struct Leveret {
    name: String,
    variant: Variant,
    /// Options of its URLs.
    query: String,
    placement: Placement,
    /// Requests of calls and replies are not confirmed one by one.
    confirms_together: bool,
    /// Started by the first run; the process above needs none.
    engine: OnceLock<Engine>,
    /// What drives the sockets of threads that are shards.
    hosted_backend: Arc<OnceLock<BackendKind>>,
}

impl Leveret {
    /// Leveret with the options of a variant, and these beside them or in their place.
    pub(crate) fn new(
        name: String,
        variant: Variant,
        options: &[(String, String)],
        placement: &Placement,
    ) -> Result<Self> {
        let mut placement = placement.clone();
        let mut query = variant.query();
        for (name, value) in options {
            if !placement.set(name, value)? {
                query.push_str(&format!("&{name}={value}"));
            }
        }
        let variant = variant.with_dialects_of(options);
        let confirms_together =
            options.iter().any(|(name, value)| name == "call_confirms" && value == "together");
        Ok(Self {
            name,
            variant,
            query,
            placement,
            confirms_together,
            engine: OnceLock::new(),
            hosted_backend: Arc::default(),
        })
    }

    fn engine(&self) -> Result<&Engine> {
        if self.engine.get().is_none() {
            let engine = Engine::start(self.placement.engine());
            // Nobody else starts one meanwhile: a process has one subject.
            let _ = self.engine.set(engine.context("the engine does not start")?);
        }
        self.engine.get().context("it was just started")
    }
}

impl Subject for Leveret {
    fn name(&self) -> &str {
        &self.name
    }

    fn version(&self) -> Option<String> {
        Some(env!("CARGO_PKG_VERSION").to_owned())
    }

    fn promises(&self, workload: &Workload) -> Promises {
        match self.variant.dialect() {
            _ if !workload.through_driver() => promises::plain(workload),
            "kombu" if self.confirms_together && workload.operation == Operation::Call => {
                Promises { confirmed: Some(false), ..promises::kombu(workload) }
            }
            "kombu" => promises::kombu(workload),
            _ => promises::pika(workload),
        }
    }

    fn measures(&self, workload: &Workload) -> bool {
        self.variant.measures(workload)
            && (!self.placement.hosted || hosted::measures(workload))
            // There is no source with TLS.
            && !(self.placement.tls && workload.peer == Peer::Source)
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

    fn slowdown(&self) -> f64 {
        self.placement.slowdown
    }

    fn speaks_tls(&self) -> bool {
        self.placement.tls
    }

    fn backend(&self) -> Option<String> {
        let backend = match self.placement.hosted {
            true => *self.hosted_backend.get()?,
            false => self.engine.get()?.backend(),
        };
        Some(backend.to_string())
    }

    fn queues_of_server(&self, topic: &str, n: usize) -> Vec<String> {
        self.variant.queues_of_server(topic, n)
    }

    fn start(&self, job: &Job, workers: &mut Workers) -> Result<()> {
        if self.placement.hosted {
            let (config, backend) = (self.placement.engine(), &self.hosted_backend);
            return hosted::start(config, &self.query, job, backend, workers);
        }
        match job.workload.through_driver() {
            true => driver::start(self.engine()?, &self.query, job, workers),
            false => engine::start(self.engine()?, job, workers),
        }
    }

    fn serve(&self, job: &Job, n: usize, ready: Box<dyn FnOnce()>) -> Result<()> {
        let executor = self.placement.options.executor;
        if self.placement.hosted {
            let engine = self.placement.engine();
            return hosted::serve(engine, &self.query, job, executor, n, ready);
        }
        if !job.workload.through_driver() {
            return block_on(pin!(engine::serve(self.engine()?, job, ready)));
        }
        let transport = driver::transport(self.engine()?, &self.query, job)?;
        driver::serve(&transport, executor, &job.queue, n, ready)
    }

    fn open_idle(&self, job: &Job) -> Result<Box<dyn Any>> {
        let engine = self.engine()?;
        let open = |_| driver::transport(engine, &self.query, job);
        let transports: Result<Vec<_>> = (0..job.workload.transports).map(open).collect();
        Ok(Box::new(transports?))
    }
}
