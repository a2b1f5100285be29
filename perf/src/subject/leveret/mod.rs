//! Leveret itself: its engine in the `engine-*` workloads, its driver in all others.
//!
//! Everything goes through public doors, as a user's program would. Not here: internals, shortcuts for benchmarks.

mod engine;

use anyhow::{Context, Result};
use leveret_engine::{BackendChoice, Engine, EngineConfig};

use super::{Job, Subject};
use crate::place::Place;
use crate::placement::{BackendName, Cores};
use crate::stage::Crew;
use crate::workload::Workload;

/// The subject `leveret`.
pub(crate) struct Leveret {
    engine: Engine,
}

impl Leveret {
    /// The name of this subject.
    pub(crate) const NAME: &'static str = "leveret";

    /// Starts an engine, which all runs of this subject share.
    pub(crate) fn start(backend: BackendName, cores: &Cores) -> Result<Self> {
        let backend = match backend {
            BackendName::Uring => BackendChoice::Uring,
            BackendName::Epoll => BackendChoice::Epoll,
            BackendName::Auto => BackendChoice::Auto,
        };
        let cores = match cores {
            Cores::Unpinned(count) => leveret_engine::Cores::Unpinned(*count),
            Cores::Pinned(list) => leveret_engine::Cores::Pinned(list.clone()),
        };
        let config = EngineConfig::default().with_backend(backend).with_cores(cores);
        Ok(Self { engine: Engine::start(config).context("the engine does not start")? })
    }
}

impl Subject for Leveret {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn measures(&self, workload: &Workload) -> bool {
        !workload.through_driver()
    }

    fn dialect(&self, workload: &Workload) -> Option<&'static str> {
        workload.through_driver().then_some("kombu")
    }

    fn backend(&self) -> Option<String> {
        Some(self.engine.backend().to_string())
    }

    fn start(&self, job: &Job, crew: &mut Crew) -> Result<()> {
        engine::start(&self.engine, job, crew)
    }

    fn serve(&self, _place: &Place, _queue: &str, _ready: Box<dyn FnOnce()>) -> Result<()> {
        anyhow::bail!("the driver is not there yet")
    }
}
