//! The `amqprs` crate, used as its own examples use it: on tokio, publications queued to its writer
//! task.
//!
//! It reports confirms to a callback and leaves the window to the user; ours is a semaphore and a
//! ring of start times. Its consumer queue has no bound. Not here: its default callbacks, which
//! only log.

use std::collections::VecDeque;
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use amqprs::callbacks::{ChannelCallback, DefaultConnectionCallback};
use amqprs::channel::{
    BasicConsumeArguments, BasicPublishArguments, Channel, ConfirmSelectArguments, ConsumerMessage,
    QueueDeclareArguments,
};
use amqprs::connection::{Connection, OpenConnectionArguments};
use amqprs::{Ack, BasicProperties, Cancel, CloseChannel, Nack, Return};
use anyhow::{Context, Result};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use super::raw::client::BROKER_TIMEOUT;
use crate::broker_address::BrokerAddress;
use crate::run_state::{Probe, Workers};
use crate::subject::job::{Job, PlainWork, Subject};
use crate::system::clock;

/// Publications between two looks at whether the run is over.
const BURST: u64 = 64;

/// The subject `amqprs`.
pub(crate) struct Amqprs;

impl Subject for Amqprs {
    fn name(&self) -> &'static str {
        "amqprs"
    }

    fn start(&self, job: &Job, workers: &mut Workers) -> Result<()> {
        let work = PlainWork::nearest_to(job.workload.operation).context("not for amqprs")?;
        let runtime = runtime()?;
        let (connection, channel) = runtime.block_on(open(&job.address))?;
        let (queue, body) = (job.queue.clone(), Arc::clone(&job.body));
        let window = job.workload.outstanding.unwrap_or(1);
        workers.spawn("amqprs-0", move |probe| {
            let done = runtime.block_on(async {
                match work {
                    PlainWork::Publish => {
                        publish(&channel, &queue, &body, probe).await?;
                        // Answered behind everything that was published.
                        Ok(connection.clone().close().await?)
                    }
                    PlainWork::Confirmed => confirmed(&channel, &queue, &body, window, probe).await,
                    PlainWork::Consume => consume(&channel, &queue, probe).await,
                    PlainWork::Call => call(&channel, &queue, &body, window, probe).await,
                }
            });
            // Both spawn tasks when dropped, so they go while their runtime still runs.
            runtime.block_on(async {
                drop(channel);
                drop(connection);
            });
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
        runtime()?.block_on(serve(address, queue, ready))
    }
}

fn runtime() -> Result<Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    Ok(builder.worker_threads(2).thread_name("amqprs").enable_all().build()?)
}

async fn open(address: &BrokerAddress) -> Result<(Connection, Channel)> {
    let mut arguments =
        OpenConnectionArguments::new(&address.host, address.port, &address.user, &address.password);
    arguments.virtual_host(&address.vhost);
    tokio::time::timeout(BROKER_TIMEOUT, async {
        let connection = Connection::open(&arguments).await?;
        connection.register_callback(DefaultConnectionCallback).await?;
        let channel = connection.open_channel(None).await?;
        Ok((connection, channel))
    })
    .await
    .with_context(|| format!("amqprs gets no answer from {address:?}"))?
}

async fn publish(channel: &Channel, queue: &str, body: &[u8], probe: &mut Probe) -> Result<()> {
    let to = BasicPublishArguments::new("", queue);
    while probe.running() {
        for _ in 0..BURST {
            channel.basic_publish(BasicProperties::default(), body.to_vec(), to.clone()).await?;
        }
        probe.done(BURST);
    }
    Ok(())
}

/// One acknowledgement: tag, whether it settles all before it, whether it is good.
type Settled = (u64, bool, bool);

async fn confirmed(
    channel: &Channel,
    queue: &str,
    body: &[u8],
    window: usize,
    probe: &mut Probe,
) -> Result<()> {
    let (report, mut settled) = mpsc::unbounded_channel();
    channel.register_callback(Confirms(report)).await?;
    channel.confirm_select(ConfirmSelectArguments::default()).await?;
    let to = BasicPublishArguments::new("", queue);
    let mut in_flight: VecDeque<Option<Instant>> = VecDeque::with_capacity(window);
    let (mut first, mut open) = (1_u64, 0);
    while probe.running() {
        while open < window {
            in_flight.push_back(Some(clock::now()));
            open += 1;
            channel.basic_publish(BasicProperties::default(), body.to_vec(), to.clone()).await?;
        }
        let (tag, multiple, good): Settled = settled.recv().await.context("the channel ended")?;
        let now = clock::now();
        let last = tag.checked_sub(first).context("an ack of a settled tag")? as usize;
        let from = if multiple { 0 } else { last };
        for start in in_flight.range_mut(from..=last).filter_map(Option::take) {
            open -= 1;
            probe.latency(start, now);
            if good { probe.done(1) } else { probe.failed(1) }
        }
        while in_flight.front() == Some(&None) {
            in_flight.pop_front();
            first += 1;
        }
    }
    Ok(())
}

async fn consume(channel: &Channel, queue: &str, probe: &mut Probe) -> Result<()> {
    let mut deliveries = subscribe(channel, queue).await?;
    while probe.running() {
        for _ in 0..BURST {
            let delivery = deliveries.recv().await.context("the consumer was ended")?;
            std::hint::black_box(delivery.content);
        }
        probe.done(BURST);
    }
    Ok(())
}

async fn subscribe(
    channel: &Channel,
    queue: &str,
) -> Result<mpsc::UnboundedReceiver<ConsumerMessage>> {
    let arguments = BasicConsumeArguments::new(queue, "amqprs").manual_ack(false).finish();
    Ok(channel.basic_consume_rx(arguments).await?.1)
}

async fn declare_private(channel: &Channel, queue: &str) -> Result<()> {
    let arguments = QueueDeclareArguments::new(queue).exclusive(true).finish();
    channel.queue_declare(arguments).await?;
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
    let to = BasicPublishArguments::new("", queue);
    let request = async |slot: usize| {
        let mut properties = BasicProperties::default();
        properties.with_reply_to(&reply_to).with_correlation_id(&slot.to_string());
        channel.basic_publish(properties, body.to_vec(), to.clone()).await
    };
    let mut started = vec![clock::now(); window];
    for slot in 0..window {
        request(slot).await?;
    }
    while probe.running() {
        let reply = replies.recv().await.context("the consumer was ended")?;
        let properties = reply.basic_properties.context("an answer without properties")?;
        let slot: usize = properties.correlation_id().context("an answer to nobody")?.parse()?;
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
    while let Some(request) = requests.recv().await {
        let asked = request.basic_properties.context("a request without properties")?;
        let reply_to = asked.reply_to().context("a request without reply-to")?;
        let mut properties = BasicProperties::default();
        properties.with_correlation_id(asked.correlation_id().context("a request without an id")?);
        let to = BasicPublishArguments::new("", reply_to);
        channel.basic_publish(properties, request.content.unwrap_or_default(), to).await?;
    }
    Ok(())
}

/// Passes acknowledgements on. The signatures are what `async_trait` makes of the crate's trait.
struct Confirms(mpsc::UnboundedSender<Settled>);

type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

impl ChannelCallback for Confirms {
    fn close<'a, 'b, 'c>(
        &'a mut self,
        _channel: &'b Channel,
        _close: CloseChannel,
    ) -> Later<'c, Result<(), amqprs::error::Error>>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        Box::pin(ready(Ok(())))
    }

    fn cancel<'a, 'b, 'c>(
        &'a mut self,
        _channel: &'b Channel,
        _cancel: Cancel,
    ) -> Later<'c, Result<(), amqprs::error::Error>>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        Box::pin(ready(Ok(())))
    }

    fn flow<'a, 'b, 'c>(
        &'a mut self,
        _channel: &'b Channel,
        active: bool,
    ) -> Later<'c, Result<bool, amqprs::error::Error>>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        Box::pin(ready(Ok(active)))
    }

    fn publish_ack<'a, 'b, 'c>(&'a mut self, _channel: &'b Channel, ack: Ack) -> Later<'c, ()>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        // A send fails only after the run is over.
        let _ = self.0.send((ack.delivery_tag(), ack.mutiple(), true));
        Box::pin(ready(()))
    }

    fn publish_nack<'a, 'b, 'c>(&'a mut self, _channel: &'b Channel, nack: Nack) -> Later<'c, ()>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        let _ = self.0.send((nack.delivery_tag(), nack.multiple(), false));
        Box::pin(ready(()))
    }

    fn publish_return<'a, 'b, 'c>(
        &'a mut self,
        _channel: &'b Channel,
        _returned: Return,
        _properties: BasicProperties,
        _content: Vec<u8>,
    ) -> Later<'c, ()>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        Box::pin(ready(()))
    }
}
