//! A client library as the suite sees it, and the work of a run.
//!
//! A subject starts workers that do a job as fast as they can; it neither measures nor reports.
//! Invariant: when `start` returns, all connections are open and all queues declared.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;

use crate::broker_address::BrokerAddress;
use crate::run_state::Workers;
use crate::workload::{Operation, Workload};

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
    /// The payload of every message.
    pub(crate) body: Arc<[u8]>,
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
        workload.clients == 1 && Self::nearest_to(workload.operation).is_some()
    }

    /// The plain work nearest to `operation`, which sends no oslo message.
    pub(crate) fn nearest_to(operation: Operation) -> Option<Self> {
        match operation {
            Operation::Publish | Operation::Cast => Some(Self::Publish),
            Operation::PublishConfirmed | Operation::CastConfirmed | Operation::Notify => {
                Some(Self::Confirmed)
            }
            Operation::Consume => Some(Self::Consume),
            Operation::Call => Some(Self::Call),
            Operation::Fanout | Operation::CallUnroutable | Operation::CastUnroutable => None,
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
    fn name(&self) -> &'static str;

    /// Whether the subject can do this workload.
    fn measures(&self, workload: &Workload) -> bool {
        PlainWork::can_be(workload)
    }

    /// The oslo dialect of its messages in this workload, if any.
    fn dialect(&self, _workload: &Workload) -> Option<&'static str> {
        None
    }

    /// The backend of its reactor, if it has a choice.
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

    /// Connects and starts the workers.
    fn start(&self, job: &Job, workers: &mut Workers) -> Result<()>;

    /// Queues that its `n`-th server leaves on the broker; the fixture deletes them after the run.
    fn queues_of_server(&self, _topic: &str, _n: usize) -> Vec<String> {
        Vec::new()
    }

    /// Answers calls to `queue`, as its `n`-th server, until the process ends. Calls `ready` when
    /// the server can receive the first one.
    fn serve(
        &self,
        address: &BrokerAddress,
        queue: &str,
        n: usize,
        ready: Box<dyn FnOnce()>,
    ) -> Result<()>;
}
