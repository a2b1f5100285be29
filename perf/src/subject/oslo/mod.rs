//! Python's oslo.messaging as a subject: its `rabbit` driver with threads.
//!
//! Its processes are Python; `member.py` speaks the protocol of measured processes.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use crate::load::workers::Workers;
use crate::subject::job::{Exchange, Job, Subject, oslo_exchange, oslo_routing_key};
use crate::subject::leveret::variant::Variant;
use crate::subject::promises;
use crate::system::child_process;
use crate::workload::promises::Promises;
use crate::workload::workload::{Operation, Peer, Workload};

/// What its processes run.
const MEMBER: &str = include_str!("member.py");
/// More threads than this make Python slower.
const THREADS_MAX: usize = 85;

/// The subjects `oslo` and `oslo-fast`.
pub(crate) struct Oslo {
    name: &'static str,
    python: PathBuf,
}

impl Oslo {
    /// oslo.messaging on this Python: with the driver's defaults, or with its fastest settings.
    pub(crate) fn new(is_fast: bool, python: PathBuf) -> Self {
        Self { name: if is_fast { "oslo-fast" } else { "oslo" }, python }
    }
}

impl Subject for Oslo {
    fn name(&self) -> &str {
        self.name
    }

    fn version(&self) -> Option<String> {
        let script = "import importlib.metadata as m, platform\n\
                      print(f\"oslo.messaging {m.version('oslo.messaging')}, \
                      Python {platform.python_version()}\")";
        let output = Command::new(&self.python).args(["-c", script]).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        (output.status.success()).then(|| text.trim().to_owned())
    }

    fn program(&self) -> Result<Command> {
        if !self.python.is_file() {
            bail!(
                "{} needs a Python with oslo.messaging, and there is none at {}: name one with \
                 --python FILE, or make one: python3 -m venv DIR && DIR/bin/pip install \
                 oslo.messaging",
                self.name,
                self.python.display()
            );
        }
        Ok(child_process::python(&self.python, MEMBER))
    }

    fn starts_slowly(&self) -> bool {
        true
    }

    /// What threads do that wait for each message.
    fn measures(&self, workload: &Workload) -> bool {
        use Operation::{Call, CastConfirmed, Fanout, Notify};
        let is_known = matches!(workload.operation, Call | CastConfirmed | Fanout | Notify);
        let threads = workload.outstanding.unwrap_or(usize::MAX);
        is_known
            && workload.peer == Peer::Broker
            && workload.transports == 1
            && threads <= THREADS_MAX
    }

    fn promises(&self, workload: &Workload) -> Promises {
        promises::kombu(workload)
    }

    fn dialect(&self, _workload: &Workload) -> Option<&'static str> {
        Some("kombu")
    }

    fn exchanges(&self, _workload: &Workload, topic: &str) -> Vec<Exchange> {
        vec![Exchange::kombu(oslo_exchange(topic))]
    }

    fn queue(&self, workload: &Workload, topic: &str) -> String {
        oslo_routing_key(workload.operation, topic)
    }

    fn routing_key(&self, workload: &Workload, topic: &str) -> String {
        oslo_routing_key(workload.operation, topic)
    }

    fn queues_of_server(&self, topic: &str, n: usize) -> Vec<String> {
        // On the wire both are the same.
        Variant::Plain.queues_of_server(topic, n)
    }

    fn start(&self, _job: &Job, _workers: &mut Workers) -> Result<()> {
        bail!("its clients are Python")
    }

    fn serve(&self, _job: &Job, _n: usize, _ready: Box<dyn FnOnce()>) -> Result<()> {
        bail!("its servers are Python")
    }
}
