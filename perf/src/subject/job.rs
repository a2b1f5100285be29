//! A client library as the suite sees it, and the work of a run.
//!
//! A subject starts workers that do a job; it neither measures nor reports. Its clients and servers
//! run in processes of their own; the process above only asks what they need. Invariant: when
//! `start` returns, all connections are open and all queues declared.

use std::any::Any;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::broker::address::BrokerAddress;
use crate::load::workers::Workers;
use crate::subject::promises;
use crate::workload::promises::Promises;
use crate::workload::workload::{Operation, Payload, Workload};

/// Longest time that a receiver takes to process what the buffers of the kernel and of the client
/// hold at the end of a run.
pub(crate) const DRAIN_TIMEOUT: Duration = Duration::from_secs(60);

/// One run's work.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    /// What to do.
    pub(crate) workload: Workload,
    /// The broker, or the peer in its place.
    pub(crate) address: BrokerAddress,
    /// The queue or topic that the fixture has prepared.
    pub(crate) queue: String,
    /// The payloads, which messages take in turn.
    pub(crate) bodies: Vec<Arc<[u8]>>,
    /// Open loop: messages due per second.
    pub(crate) rate: Option<f64>,
}

impl Job {
    /// The payload of every message, where all are of one size.
    pub(crate) fn body(&self) -> Arc<[u8]> {
        Arc::clone(&self.bodies[0])
    }
}

/// The work that a plain AMQP client can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PlainWork {
    /// Publish without confirms.
    Publish,
    /// Publish with a window of confirms in flight.
    Confirmed,
    /// Consume without acknowledging.
    Consume,
    /// Send requests and wait for their answers.
    Call,
}

impl PlainWork {
    /// Whether a plain client, alone on its connection, can do this.
    pub(crate) fn can_be(workload: &Workload) -> bool {
        let is_alone = workload.clients == 1 && workload.transports == 1;
        let is_closed = workload.load.is_none() && workload.payload != Payload::Recorded;
        is_alone && is_closed && Self::nearest_to(workload.operation).is_some()
    }

    /// The plain work nearest to `operation`, which sends no oslo message.
    pub(crate) fn nearest_to(operation: Operation) -> Option<Self> {
        match operation {
            Operation::Publish | Operation::Cast => Some(Self::Publish),
            Operation::PublishConfirmed | Operation::CastConfirmed | Operation::Notify => {
                Some(Self::Confirmed)
            }
            Operation::Consume => Some(Self::Consume),
            Operation::Call | Operation::Request => Some(Self::Call),
            Operation::Fanout
            | Operation::FirstCall
            | Operation::CallUnroutable
            | Operation::CastUnroutable
            | Operation::Idle => None,
        }
    }
}

/// An exchange, as an oslo driver declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exchange {
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    /// The broker deletes it with its last binding.
    pub(crate) auto_delete: bool,
}

impl Exchange {
    /// An exchange of the `rabbit` driver.
    pub(crate) fn kombu(name: String) -> Self {
        Self { name, kind: "topic", auto_delete: false }
    }

    /// An exchange of the `pika` driver.
    pub(crate) fn pika(name: String) -> Self {
        Self { name, kind: "direct", auto_delete: true }
    }
}

/// The topic exchange of oslo messages to `topic`, in workloads of the driver.
pub(crate) fn oslo_exchange(topic: &str) -> String {
    format!("{topic}-exchange")
}

/// The routing key of such messages.
pub(crate) fn oslo_routing_key(operation: Operation, topic: &str) -> String {
    if operation == Operation::Notify { format!("{topic}.info") } else { topic.to_owned() }
}

/// A client library.
pub(crate) trait Subject: Sync {
    /// Name on the command line and in reports.
    fn name(&self) -> &str;

    /// The library and its version, or where the program is.
    fn version(&self) -> Option<String> {
        None
    }

    /// The program of its processes, which speaks [`crate::measure::protocol`].
    fn program(&self) -> Result<Command> {
        let mut command = Command::new(std::env::current_exe().context("no path of this program")?);
        command.arg("measure");
        Ok(command)
    }

    /// The name of the subject in that program.
    fn name_in_program(&self) -> String {
        self.name().to_owned()
    }

    /// Whether its processes start slowly, so that they serve all windows of a workload.
    fn starts_slowly(&self) -> bool {
        false
    }

    /// Whether the subject can do this workload.
    fn measures(&self, workload: &Workload) -> bool {
        PlainWork::can_be(workload)
    }

    /// What it promises for a message of this workload.
    fn promises(&self, workload: &Workload) -> Promises {
        promises::plain(workload)
    }

    /// The oslo dialect of its messages in this workload, if any.
    fn dialect(&self, _workload: &Workload) -> Option<&'static str> {
        None
    }

    /// Share of their time that its clients waste, to see whether a machine can tell.
    fn slowdown(&self) -> f64 {
        0.0
    }

    /// Whether its connections are encrypted.
    fn speaks_tls(&self) -> bool {
        false
    }

    /// The backend of its reactor, if it has a choice and has started.
    fn backend(&self) -> Option<String> {
        None
    }

    /// The exchanges that its messages in this workload may go to, the usual one first; none for
    /// the default exchange. The fixture deletes them after the run.
    fn exchanges(&self, _workload: &Workload, _topic: &str) -> Vec<Exchange> {
        Vec::new()
    }

    /// The queue that receives its messages in this workload.
    fn queue(&self, _workload: &Workload, topic: &str) -> String {
        topic.to_owned()
    }

    /// The routing key of its casts in this workload.
    fn routing_key(&self, _workload: &Workload, topic: &str) -> String {
        topic.to_owned()
    }

    /// Queues that its `n`-th server leaves on the broker; the fixture deletes them after the run.
    fn queues_of_server(&self, _topic: &str, _n: usize) -> Vec<String> {
        Vec::new()
    }

    /// Connects and starts the workers, in a client process.
    fn start(&self, job: &Job, workers: &mut Workers) -> Result<()>;

    /// Answers requests to the job's queue, as its `n`-th server, until the process ends. Calls
    /// `ready` when the server can receive the first one.
    fn serve(&self, job: &Job, n: usize, ready: Box<dyn FnOnce()>) -> Result<()>;

    /// Opens transports that do nothing until they are dropped.
    fn open_idle(&self, _job: &Job) -> Result<Box<dyn Any>> {
        bail!("{} is not measured idle", self.name())
    }
}
