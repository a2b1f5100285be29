//! The two baselines as subjects: `raw` and `raw-kombu`.

use anyhow::{Context, Result};

use super::client::Client;
use super::message_style::MessageStyle;
use super::{one_way, rpc};
use crate::load::workers::Workers;
use crate::subject::job::{Exchange, Job, PlainWork, Subject, oslo_exchange, oslo_routing_key};
use crate::subject::promises;
use crate::workload::promises::Promises;
use crate::workload::workload::{Operation, Workload};

/// The subject `raw`: the highest rate that any client can reach, nearly.
pub(crate) struct Raw;

impl Subject for Raw {
    fn name(&self) -> &str {
        "raw"
    }

    fn start(&self, job: &Job, workers: &mut Workers) -> Result<()> {
        start(job, workers, MessageStyle::bare(), job.queue.clone())
    }

    fn serve(&self, job: &Job, _n: usize, ready: Box<dyn FnOnce()>) -> Result<()> {
        rpc::serve(Client::connect(&job.address)?, &MessageStyle::bare(), &job.queue, ready)
    }
}

/// The subject `raw-kombu`: the baseline at equal work, with the exchange, properties, envelope,
/// confirms and acknowledgements of oslo.messaging's `rabbit` driver.
pub(crate) struct RawKombu;

impl Subject for RawKombu {
    fn name(&self) -> &str {
        "raw-kombu"
    }

    fn measures(&self, workload: &Workload) -> bool {
        workload.through_driver() && PlainWork::can_be(workload)
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

    fn routing_key(&self, workload: &Workload, topic: &str) -> String {
        oslo_routing_key(workload.operation, topic)
    }

    fn start(&self, job: &Job, workers: &mut Workers) -> Result<()> {
        let operation = job.workload.operation;
        let style = MessageStyle::kombu(oslo_exchange(&job.queue));
        let key = oslo_routing_key(operation, &job.queue);
        start(job, workers, style.notifying(operation == Operation::Notify), key)
    }

    fn serve(&self, job: &Job, _n: usize, ready: Box<dyn FnOnce()>) -> Result<()> {
        let style = MessageStyle::kombu(oslo_exchange(&job.queue));
        rpc::serve(Client::connect(&job.address)?, &style, &job.queue, ready)
    }
}

/// Starts a worker. `key` is the routing key of the job's queue in the style's exchange.
fn start(job: &Job, workers: &mut Workers, style: MessageStyle, key: String) -> Result<()> {
    let client = Client::connect(&job.address)?;
    let body = job.body();
    let window = job.workload.outstanding.unwrap_or(1);
    let work = PlainWork::nearest_to(job.workload.operation).context("no baseline for this")?;
    workers.spawn("raw-0", move |probe| match work {
        PlainWork::Publish => one_way::publish(client, &style, &key, &body, probe),
        PlainWork::Confirmed => {
            one_way::publish_confirmed(client, &style, &key, &body, window, probe)
        }
        PlainWork::Consume => one_way::consume(client, &key, probe),
        PlainWork::Call => rpc::call(client, &style, &key, &body, window, probe),
    })
}

#[cfg(test)]
mod tests;
