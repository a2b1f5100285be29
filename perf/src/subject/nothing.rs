//! The subject that does nothing: what is measured of it is the cost of measuring.

use anyhow::{Result, bail};

use crate::load::workers::Workers;
use crate::subject::job::{Job, Subject};
use crate::system::clock;
use crate::workload::workload::{Operation, Peer, Workload};

/// The subject `nothing`.
pub(crate) struct Nothing;

impl Subject for Nothing {
    fn name(&self) -> &str {
        "nothing"
    }

    /// One workload that needs neither broker nor servers.
    fn measures(&self, workload: &Workload) -> bool {
        workload.operation == Operation::Publish && workload.peer == Peer::Sink
    }

    fn start(&self, _job: &Job, workers: &mut Workers) -> Result<()> {
        workers.spawn("nothing", |probe| {
            while probe.running() {
                let start = clock::now();
                probe.latency(start, clock::now());
                probe.done(1);
            }
            Ok(())
        })
    }

    fn serve(&self, _job: &Job, _n: usize, _ready: Box<dyn FnOnce()>) -> Result<()> {
        bail!("nothing serves nobody")
    }
}
