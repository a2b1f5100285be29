//! A client library as the suite sees it, and the work it is asked to do.
//!
//! A subject starts workers that do a job as fast as they can; it neither measures nor reports.
//! Invariant: when `start` returns, everything is connected and declared, so the run begins at full
//! speed.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;

use crate::broker_address::BrokerAddress;
use crate::run_state::Workers;
use crate::workload::{Operation, Workload};

/// How long a receiver may take to work through what a subject has handed over: what the buffers of
/// the kernel and of the client hold.
pub(crate) const DRAIN_TIMEOUT: Duration = Duration::from_secs(60);

/// One run's work.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    /// What to do.
    pub(crate) workload: Workload,
    /// Whom to talk to.
    pub(crate) address: BrokerAddress,
    /// The queue, or topic, that has been prepared for it.
    pub(crate) queue: String,
    /// What every message carries.
    pub(crate) body: Arc<[u8]>,
}

/// The four things a plain AMQP client can be asked for.
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

    /// What comes nearest to `operation` without an oslo message.
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
    /// It goes with its last binding.
    pub(crate) auto_delete: bool,
}

impl Exchange {
    /// One of the `rabbit` driver.
    pub(crate) fn kombu(name: String) -> Self {
        Self { name, kind: "topic", auto_delete: false }
    }

    /// One of the `pika` driver.
    pub(crate) fn pika(name: String) -> Self {
        Self { name, kind: "direct", auto_delete: true }
    }
}

/// The topic exchange that oslo messages to `topic` go through, in workloads of the driver.
pub(crate) fn oslo_exchange(topic: &str) -> String {
    format!("{topic}-exchange")
}

/// The routing key they carry.
pub(crate) fn oslo_routing_key(operation: Operation, topic: &str) -> String {
    if operation == Operation::Notify { format!("{topic}.info") } else { topic.to_owned() }
}

/// A client library.
pub(crate) trait Subject: Sync {
    /// Its name, on the command line and in reports.
    fn name(&self) -> &'static str;

    /// Whether it can do this workload.
    fn measures(&self, workload: &Workload) -> bool {
        PlainWork::can_be(workload)
    }

    /// The oslo dialect it speaks in this workload, if any.
    fn dialect(&self, _workload: &Workload) -> Option<&'static str> {
        None
    }

    /// What its reactor runs on, if there is a choice.
    fn backend(&self) -> Option<String> {
        None
    }

    /// The exchanges its messages in this workload may go through, and the first of them go
    /// through the first one; none where that is the default exchange. All are deleted afterwards.
    fn exchanges(&self, _workload: &Workload, _topic: &str) -> Vec<Exchange> {
        Vec::new()
    }

    /// The queue its messages in this workload end in.
    fn queue(&self, _workload: &Workload, topic: &str) -> String {
        topic.to_owned()
    }

    /// The routing key its casts in this workload carry.
    fn routing_key(&self, _workload: &Workload, topic: &str) -> String {
        topic.to_owned()
    }

    /// Connects and starts the workers.
    fn start(&self, job: &Job, workers: &mut Workers) -> Result<()>;

    /// Queues its `n`-th server leaves behind, to be deleted after the run.
    fn queues_of_server(&self, _topic: &str, _n: usize) -> Vec<String> {
        Vec::new()
    }

    /// Answers calls to `queue`, as its `n`-th server, until the process ends; says `ready` when it
    /// can take the first one.
    fn serve(
        &self,
        address: &BrokerAddress,
        queue: &str,
        n: usize,
        ready: Box<dyn FnOnce()>,
    ) -> Result<()>;
}
