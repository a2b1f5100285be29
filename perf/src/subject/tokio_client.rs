//! A client library on tokio as a subject.
//!
//! A library implements [`TokioClient`], and [`TokioSubject`] does the work of a run with it: each
//! publication is awaited, as the libraries' own examples do it. The calls are resolved at compile
//! time. Invariant: all subjects use the same queues, bodies and windows. Not here: how a window of
//! confirms is kept, which each library does in its own way.

use std::marker::PhantomData;
use std::time::Instant;

use anyhow::{Context, Result};
use tokio::runtime::Runtime;

use super::job::{Job, PlainWork, Subject};
use super::promises;
use super::raw::client::BROKER_TIMEOUT;
use crate::broker::address::BrokerAddress;
use crate::load::workers::{Probe, Workers};
use crate::system::clock;
use crate::workload::promises::Promises;
use crate::workload::workload::{Operation, Workload};

/// Publications or deliveries between two looks at whether the run is over.
const BURST: u64 = 64;

/// What the messages of a client are promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// As little as the workload allows, which is what the libraries' own examples do.
    Plain,
    /// What oslo.messaging's `rabbit` driver promises: every publication is confirmed and
    /// persistent, every delivery is acknowledged, replies and notifications are mandatory.
    Kombu,
}

/// A connection of a client library, with one channel.
pub(super) trait TokioClient: Send + Sync + Sized + 'static {
    /// Names of the subject in either style.
    const NAME: &'static str;
    const KOMBU_NAME: &'static str;
    /// The address of publications to one queue, made once for all of them.
    type Destination;
    /// A consumer without acknowledgements.
    type Consumer;
    /// A received message.
    type Delivery;

    /// Connects and opens a channel. In the `Kombu` style its publications are confirmed.
    async fn open(address: &BrokerAddress, style: Style) -> Result<Self>;

    /// Closes the connection. The broker answers after all publications before.
    async fn close(&self) -> Result<()>;

    /// The default exchange, with this queue as the routing key.
    fn destination(queue: &str) -> Self::Destination;

    /// Publishes without properties.
    async fn publish(&self, to: &Self::Destination, body: &[u8]) -> Result<()>;

    /// Publishes with `window` confirms in flight until the run is over.
    async fn publish_confirmed(
        &self,
        queue: &str,
        mandatory: bool,
        body: &[u8],
        window: usize,
        probe: &mut Probe,
    ) -> Result<()>;

    /// Publishes with a reply queue and `slot` as the correlation id.
    async fn request(
        &self,
        to: &Self::Destination,
        reply_queue: &str,
        slot: usize,
        body: &[u8],
    ) -> Result<()>;

    /// Sends a request's own body to its reply queue, with its correlation id.
    async fn reply(&self, request: &Self::Delivery) -> Result<()>;

    /// Acknowledges a message.
    async fn acknowledge(&self, delivery: &Self::Delivery) -> Result<()>;

    /// Declares a queue that ends with the connection.
    async fn declare_exclusive(&self, queue: &str) -> Result<()>;

    /// Consumes from a queue.
    async fn consume(&self, queue: &str) -> Result<Self::Consumer>;

    /// The next message; `None` after the end of the consumer.
    async fn next(consumer: &mut Self::Consumer) -> Result<Option<Self::Delivery>>;

    /// Uses a message as little as a user could.
    fn touch(delivery: Self::Delivery);

    /// The slot of the request that a message replies to.
    fn slot(reply: &Self::Delivery) -> Result<usize>;
}

/// A client library as a subject.
pub(super) struct TokioSubject<C> {
    style: Style,
    client: PhantomData<C>,
}

impl<C> TokioSubject<C> {
    pub(super) const fn new(style: Style) -> Self {
        Self { style, client: PhantomData }
    }
}

impl<C: TokioClient> Subject for TokioSubject<C> {
    fn name(&self) -> &str {
        if self.style == Style::Kombu { C::KOMBU_NAME } else { C::NAME }
    }

    fn measures(&self, workload: &Workload) -> bool {
        let is_known = PlainWork::can_be(workload);
        match self.style {
            Style::Plain => is_known,
            // Publications that wait for nothing are the engine's and the plain style's.
            Style::Kombu => is_known && workload.through_driver() && workload.outstanding.is_some(),
        }
    }

    fn promises(&self, workload: &Workload) -> Promises {
        match self.style {
            Style::Plain => promises::plain(workload),
            Style::Kombu => promises::kombu(workload),
        }
    }

    fn start(&self, job: &Job, workers: &mut Workers) -> Result<()> {
        let work = PlainWork::nearest_to(job.workload.operation);
        let work = work.with_context(|| format!("not for {}", self.name()))?;
        let (style, mandatory) = (self.style, job.workload.operation == Operation::Notify);
        let runtime = runtime(C::NAME)?;
        let client = runtime.block_on(open::<C>(&job.address, style))?;
        let (queue, body) = (job.queue.clone(), job.body());
        let window = job.workload.outstanding.unwrap_or(1);
        workers.spawn(&format!("{}-0", C::NAME), move |probe| {
            let done = runtime.block_on(async {
                match work {
                    PlainWork::Publish => {
                        publish(&client, &queue, &body, probe).await?;
                        client.close().await
                    }
                    PlainWork::Confirmed => {
                        let mandatory = mandatory && style == Style::Kombu;
                        client.publish_confirmed(&queue, mandatory, &body, window, probe).await
                    }
                    PlainWork::Consume => consume(&client, &queue, probe).await,
                    PlainWork::Call => call(&client, style, &queue, &body, window, probe).await,
                }
            });
            // Dropping a client spawns tasks, so it is dropped while its runtime runs.
            runtime.block_on(async { drop(client) });
            runtime.shutdown_background();
            done
        })
    }

    fn serve(&self, job: &Job, _n: usize, ready: Box<dyn FnOnce()>) -> Result<()> {
        runtime(C::NAME)?.block_on(serve::<C>(&job.address, self.style, &job.queue, ready))
    }
}

fn runtime(name: &str) -> Result<Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    Ok(builder.worker_threads(2).thread_name(name).enable_all().build()?)
}

async fn open<C: TokioClient>(address: &BrokerAddress, style: Style) -> Result<C> {
    let opened = tokio::time::timeout(BROKER_TIMEOUT, C::open(address, style)).await;
    opened.with_context(|| format!("{} gets no answer from {address:?}", C::NAME))?
}

async fn publish<C: TokioClient>(
    client: &C,
    queue: &str,
    body: &[u8],
    probe: &mut Probe,
) -> Result<()> {
    let to = C::destination(queue);
    while probe.running() {
        for _ in 0..BURST {
            client.publish(&to, body).await?;
        }
        probe.done(BURST);
    }
    Ok(())
}

async fn consume<C: TokioClient>(client: &C, queue: &str, probe: &mut Probe) -> Result<()> {
    let mut deliveries = client.consume(queue).await?;
    while probe.running() {
        for _ in 0..BURST {
            C::touch(C::next(&mut deliveries).await?.context("the consumer was ended")?);
        }
        probe.done(BURST);
    }
    Ok(())
}

async fn call<C: TokioClient>(
    client: &C,
    style: Style,
    queue: &str,
    body: &[u8],
    window: usize,
    probe: &mut Probe,
) -> Result<()> {
    let reply_queue = format!("{queue}-reply");
    client.declare_exclusive(&reply_queue).await?;
    let mut replies = client.consume(&reply_queue).await?;
    let to = C::destination(queue);
    let mut started = vec![clock::now(); window];
    for slot in 0..window {
        client.request(&to, &reply_queue, slot, body).await?;
    }
    while probe.running() {
        let reply = C::next(&mut replies).await?.context("the consumer was ended")?;
        let slot = C::slot(&reply)?;
        if style == Style::Kombu {
            client.acknowledge(&reply).await?;
        }
        let start: &mut Instant = started.get_mut(slot).context("an answer to no request")?;
        let now = clock::now();
        probe.latency(*start, now);
        probe.done(1);
        *start = now;
        client.request(&to, &reply_queue, slot, body).await?;
    }
    Ok(())
}

async fn serve<C: TokioClient>(
    address: &BrokerAddress,
    style: Style,
    queue: &str,
    ready: Box<dyn FnOnce()>,
) -> Result<()> {
    let client = open::<C>(address, style).await?;
    client.declare_exclusive(queue).await?;
    let mut requests = client.consume(queue).await?;
    ready();
    while let Some(request) = C::next(&mut requests).await? {
        client.reply(&request).await?;
        if style == Style::Kombu {
            client.acknowledge(&request).await?;
        }
    }
    Ok(())
}
