//! Another build of this program as a subject: old against new.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::load::workers::Workers;
use crate::subject::job::{Exchange, Job, Subject};
use crate::workload::promises::Promises;
use crate::workload::workload::Workload;

/// A binary, and the subject that is measured with it.
pub(crate) struct Binary {
    name: String,
    path: PathBuf,
    subject: Box<dyn Subject>,
}

impl Binary {
    pub(crate) fn new(name: String, path: PathBuf, subject: Box<dyn Subject>) -> Self {
        Self { name, path, subject }
    }
}

impl Subject for Binary {
    fn name(&self) -> &str {
        &self.name
    }

    fn version(&self) -> Option<String> {
        Some(self.path.display().to_string())
    }

    fn program(&self) -> Result<Command> {
        let mut command = Command::new(&self.path);
        command.arg("measure");
        Ok(command)
    }

    fn name_in_program(&self) -> String {
        self.subject.name().to_owned()
    }

    fn measures(&self, workload: &Workload) -> bool {
        self.subject.measures(workload)
    }

    fn promises(&self, workload: &Workload) -> Promises {
        self.subject.promises(workload)
    }

    fn dialect(&self, workload: &Workload) -> Option<&'static str> {
        self.subject.dialect(workload)
    }

    fn exchanges(&self, workload: &Workload, topic: &str) -> Vec<Exchange> {
        self.subject.exchanges(workload, topic)
    }

    fn queue(&self, workload: &Workload, topic: &str) -> String {
        self.subject.queue(workload, topic)
    }

    fn routing_key(&self, workload: &Workload, topic: &str) -> String {
        self.subject.routing_key(workload, topic)
    }

    fn queues_of_server(&self, topic: &str, n: usize) -> Vec<String> {
        self.subject.queues_of_server(topic, n)
    }

    fn start(&self, job: &Job, workers: &mut Workers) -> Result<()> {
        self.subject.start(job, workers)
    }

    fn serve(&self, job: &Job, n: usize, ready: Box<dyn FnOnce()>) -> Result<()> {
        self.subject.serve(job, n, ready)
    }
}
