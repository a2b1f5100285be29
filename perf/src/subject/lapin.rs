//! The `lapin` crate, used as its own examples use it: on tokio, each publication awaited.
//!
//! Invariant: the same queues, bodies and windows as the other subjects. Not here: its recovery,
//! its delegates.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use futures_util::StreamExt;
use lapin::options::{
    BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use tokio::runtime::Runtime;

use super::raw::client::BROKER_TIMEOUT;
use crate::broker_address::BrokerAddress;
use crate::run_state::{Probe, Workers};
use crate::subject::job::{Job, PlainWork, Subject};
use crate::system::clock;

/// Publications between two looks at whether the run is over.
const BURST: u64 = 64;

/// The subject `lapin`.
pub(crate) struct Lapin;

impl Subject for Lapin {
    fn name(&self) -> &'static str {
        "lapin"
    }

    fn start(&self, job: &Job, workers: &mut Workers) -> Result<()> {
        let work = PlainWork::nearest_to(job.workload.operation).context("not for lapin")?;
        let runtime = runtime("lapin")?;
        let (connection, channel) = runtime.block_on(open(&job.address))?;
        let (queue, body) = (job.queue.clone(), Arc::clone(&job.body));
        let window = job.workload.outstanding.unwrap_or(1);
        workers.spawn("lapin-0", move |probe| {
            let done = runtime.block_on(async {
                match work {
                    PlainWork::Publish => {
                        publish(&channel, &queue, &body, probe).await?;
                        // Answered behind everything that was published.
                        Ok(connection.close(200, "done".into()).await?)
                    }
                    PlainWork::Confirmed => confirmed(&channel, &queue, &body, window, probe).await,
                    PlainWork::Consume => consume(&channel, &queue, probe).await,
                    PlainWork::Call => call(&channel, &queue, &body, window, probe).await,
                }
            });
            drop(connection);
            runtime.shutdown_background();
            done
        })
    }

    fn serve(
        &self,
        address: &BrokerAddress,
        queue: &str,
        _n: usize,
        ready: Box<dyn FnOnce()>,
    ) -> Result<()> {
        runtime("lapin")?.block_on(serve(address, queue, ready))
    }
}

fn runtime(name: &str) -> Result<Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    Ok(builder.worker_threads(2).thread_name(name).enable_all().build()?)
}

async fn open(address: &BrokerAddress) -> Result<(Connection, Channel)> {
    let url = address.amqp_url();
    tokio::time::timeout(BROKER_TIMEOUT, async {
        let connection = Connection::connect(&url, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        Ok((connection, channel))
    })
    .await
    .with_context(|| format!("lapin gets no answer from {address:?}"))?
}

async fn publish(channel: &Channel, queue: &str, body: &[u8], probe: &mut Probe) -> Result<()> {
    while probe.running() {
        for _ in 0..BURST {
            let properties = BasicProperties::default();
            let options = BasicPublishOptions::default();
            channel.basic_publish("".into(), queue.into(), options, body, properties).await?;
        }
        probe.done(BURST);
    }
    Ok(())
}

async fn confirmed(
    channel: &Channel,
    queue: &str,
    body: &[u8],
    window: usize,
    probe: &mut Probe,
) -> Result<()> {
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    // RabbitMQ confirms in order, so waiting for the oldest loses nothing.
    let mut in_flight = VecDeque::with_capacity(window);
    while probe.running() {
        while in_flight.len() < window {
            let start = clock::now();
            let properties = BasicProperties::default();
            let options = BasicPublishOptions::default();
            let confirm =
                channel.basic_publish("".into(), queue.into(), options, body, properties).await?;
            in_flight.push_back((start, confirm));
        }
        if let Some((start, confirm)) = in_flight.pop_front() {
            let outcome = confirm.await?;
            probe.latency(start, clock::now());
            if outcome.is_ack() { probe.done(1) } else { probe.failed(1) }
        }
    }
    Ok(())
}

async fn consume(channel: &Channel, queue: &str, probe: &mut Probe) -> Result<()> {
    let mut deliveries = subscribe(channel, queue).await?;
    while probe.running() {
        for _ in 0..BURST {
            let delivery = deliveries.next().await.context("the consumer was ended")??;
            std::hint::black_box(delivery.data.len());
        }
        probe.done(BURST);
    }
    Ok(())
}

async fn subscribe(channel: &Channel, queue: &str) -> Result<lapin::Consumer> {
    let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
    Ok(channel.basic_consume(queue.into(), "lapin".into(), options, FieldTable::default()).await?)
}

async fn declare_private(channel: &Channel, queue: &str) -> Result<()> {
    let options = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(queue.into(), options, FieldTable::default()).await?;
    Ok(())
}

async fn call(
    channel: &Channel,
    queue: &str,
    body: &[u8],
    window: usize,
    probe: &mut Probe,
) -> Result<()> {
    let reply_to = format!("{queue}-reply");
    declare_private(channel, &reply_to).await?;
    let mut replies = subscribe(channel, &reply_to).await?;
    let request = async |slot: usize| {
        let properties = BasicProperties::default()
            .with_reply_to(reply_to.as_str().into())
            .with_correlation_id(slot.to_string().into());
        let options = BasicPublishOptions::default();
        channel.basic_publish("".into(), queue.into(), options, body, properties).await
    };
    let mut started = vec![clock::now(); window];
    for slot in 0..window {
        request(slot).await?;
    }
    while probe.running() {
        let reply = replies.next().await.context("the consumer was ended")??;
        let id = reply.properties.correlation_id().as_ref().context("an answer to no request")?;
        let slot: usize = id.as_str().parse()?;
        let start: &mut Instant = started.get_mut(slot).context("an answer to no request")?;
        let now = clock::now();
        probe.latency(*start, now);
        probe.done(1);
        *start = now;
        request(slot).await?;
    }
    Ok(())
}

async fn serve(address: &BrokerAddress, queue: &str, ready: Box<dyn FnOnce()>) -> Result<()> {
    let (_connection, channel) = open(address).await?;
    declare_private(&channel, queue).await?;
    let mut requests = subscribe(&channel, queue).await?;
    ready();
    while let Some(request) = requests.next().await {
        let request = request?;
        let reply_to =
            request.properties.reply_to().clone().context("a request without reply-to")?;
        let id = request.properties.correlation_id().clone().context("a request without an id")?;
        let properties = BasicProperties::default().with_correlation_id(id);
        let options = BasicPublishOptions::default();
        channel.basic_publish("".into(), reply_to, options, &request.data, properties).await?;
    }
    Ok(())
}
