//! The engine without oslo: publish, publish with confirms, consume.
//!
//! The worker is a plain thread, as in the baseline, or a task of a shard (`hosted`). Invariant:
//! every wait has a deadline.

use std::collections::VecDeque;
use std::pin::pin;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use leveret_engine::wire::Ids;
use leveret_engine::{
    Channel, ChannelOptions, Confirm, Connection, ConnectionConfig, Consume, Engine, Host, Message,
    Properties, PublishError, Publisher, QueueDeclare, Route, Secret, TlsConfig, block_on,
};

use crate::broker::address::BrokerAddress;
use crate::load::workers::{Probe, Workers};
use crate::subject::job::{DRAIN_TIMEOUT, Job, PlainWork};
use crate::system::clock;

/// Longest wait of an operation for the broker.
pub(super) const BROKER_TIMEOUT: Duration = Duration::from_secs(10);
/// Messages between two checks whether the run is over.
const BURST: u64 = 64;

/// Starts the worker, and returns when it is connected.
pub(super) fn start(engine: &Engine, job: &Job, workers: &mut Workers) -> Result<()> {
    let work = PlainWork::nearest_to(job.workload.operation).context("not for the engine")?;
    let (connection, channel) = block_on(connect(engine, job, work))?;
    let job = job.clone();
    workers.spawn("leveret-client", move |probe| {
        block_on(pin!(perform(work, &connection, &channel, &job, probe)))
    })
}

/// Opens a connection and a channel.
pub(super) async fn connect(
    engine: &Engine,
    job: &Job,
    work: PlainWork,
) -> Result<(Connection, Channel)> {
    let connection = engine.connect(config(&job.address)).await?;
    let options = ChannelOptions::default().with_confirms(work == PlainWork::Confirmed);
    let channel = connection.open_channel(options).await?;
    Ok((connection, channel))
}

/// Works until the run is over, and closes the connection.
pub(super) async fn perform(
    work: PlainWork,
    connection: &Connection,
    channel: &Channel,
    job: &Job,
    probe: &mut Probe,
) -> Result<()> {
    let (body, queue) = (job.body(), job.queue.clone());
    let window = job.workload.outstanding.unwrap_or(1);
    let done = match work {
        PlainWork::Publish => publish(&publisher(channel, queue)?, &body, probe).await,
        PlainWork::Confirmed => confirmed(&publisher(channel, queue)?, &body, window, probe).await,
        PlainWork::Consume => consume(channel, &queue, probe).await,
        PlainWork::Call => request(channel, queue, &body, window, probe).await,
    };
    let closed = connection.close().await;
    done?;
    closed?;
    // The broker did not process what was lost with a connection.
    match connection.reconnects() {
        0 => Ok(()),
        times => bail!("the connection was lost {times} times"),
    }
}

/// Answers requests with their own body until the process ends.
pub(super) async fn serve(engine: &Engine, job: &Job, ready: Box<dyn FnOnce()>) -> Result<()> {
    let (_connection, channel) = connect(engine, job, PlainWork::Call).await?;
    channel.declare_queue(exclusive(&job.queue)).await?;
    let mut consumer = channel.consume(unacknowledged(&job.queue)).await?;
    ready();
    // The publisher to the reply queue of the last request, because its route is rendered once.
    let mut last: Option<(String, Publisher)> = None;
    while let Some(request) = consumer.next().await? {
        let asked = request.properties();
        let id = asked.correlation_id.context("a request without an id")?;
        let reply_to = asked.reply_to.context("a request without reply-to")?;
        if last.as_ref().is_none_or(|(queue, _)| queue != reply_to) {
            let route = Route { routing_key: reply_to.to_owned(), ..Route::default() };
            let properties = Properties::default().with_correlation_id(correlation_id(0));
            last = Some((reply_to.to_owned(), channel.publisher(route, &properties)?));
        }
        let (_, publisher) = last.as_ref().context("it was just made")?;
        let body = request.body().contiguous();
        let ids = Ids { correlation_id: Some(id), ..Ids::default() };
        drop(publish_one(publisher, Message { payload: (&*body).into(), ids }).await?);
    }
    Ok(())
}

/// Sends requests with `window` of them in flight, and takes their replies.
async fn request(
    channel: &Channel,
    queue: String,
    body: &[u8],
    window: usize,
    probe: &mut Probe,
) -> Result<()> {
    let reply_queue = format!("{queue}-reply");
    channel.declare_queue(exclusive(&reply_queue)).await?;
    let mut replies = channel.consume(unacknowledged(&reply_queue)).await?;
    let properties = Properties::default()
        .with_reply_to(reply_queue.as_str())
        .with_correlation_id(correlation_id(0));
    let route = Route { routing_key: queue, ..Route::default() };
    let publisher = channel.publisher(route, &properties)?;
    let slots: Vec<String> = (0..window).map(correlation_id).collect();
    let send = async |slot: usize| -> Result<()> {
        let ids = Ids { correlation_id: Some(&slots[slot]), ..Ids::default() };
        drop(publish_one(&publisher, Message { payload: body.into(), ids }).await?);
        Ok(())
    };
    let mut started = vec![clock::now(); window];
    for slot in 0..window {
        send(slot).await?;
    }
    while probe.running() {
        let reply = replies.next().await?.context("the consumer was ended")?;
        let id = reply.properties().correlation_id.context("a reply without an id")?;
        let slot: usize = id.parse()?;
        let start = started.get_mut(slot).context("a reply to no request")?;
        let now = clock::now();
        probe.latency(*start, now);
        probe.done(1);
        *start = now;
        send(slot).await?;
    }
    Ok(())
}

/// The identifier of a slot; all are of one length.
fn correlation_id(slot: usize) -> String {
    format!("{slot:06}")
}

fn exclusive(queue: &str) -> QueueDeclare {
    QueueDeclare { name: queue.to_owned(), exclusive: true, ..QueueDeclare::default() }
}

fn unacknowledged(queue: &str) -> Consume {
    Consume { no_ack: true, ..Consume::from_queue(queue) }
}

/// The configuration of a connection, with the engine's defaults.
fn config(address: &BrokerAddress) -> ConnectionConfig {
    let host = Host::new(address.host.as_str(), address.port)
        .with_login(address.user.as_str(), Secret::new(address.password.as_str()));
    let mut config = ConnectionConfig::new(vec![host]);
    config.vhost.clone_from(&address.vhost);
    config.tls = address.tls_ca.as_ref().map(|ca| TlsConfig::new().with_ca_file(ca));
    config.operation_timeout = DRAIN_TIMEOUT;
    config
}

fn publisher(channel: &Channel, routing_key: String) -> Result<Publisher> {
    let route = Route { routing_key, ..Route::default() };
    Ok(channel.publisher(route, &Properties::default())?)
}

/// Publishes a message, and waits only if the outbox is full.
#[inline]
async fn publish_one(publisher: &Publisher, message: Message<'_>) -> Result<Confirm> {
    match publisher.try_publish(message.clone(), BROKER_TIMEOUT) {
        Err(PublishError::Full) => Ok(publisher.publish(message, BROKER_TIMEOUT).await?),
        done => Ok(done?),
    }
}

async fn publish(publisher: &Publisher, body: &[u8], probe: &mut Probe) -> Result<()> {
    while probe.running() {
        for _ in 0..BURST {
            // Without confirms the publication is done when the connection has accepted it.
            drop(publish_one(publisher, body.into()).await?);
        }
        probe.done(BURST);
    }
    Ok(())
}

async fn confirmed(
    publisher: &Publisher,
    body: &[u8],
    window: usize,
    probe: &mut Probe,
) -> Result<()> {
    // RabbitMQ confirms in order, so the oldest confirm is the next.
    let mut in_flight = VecDeque::with_capacity(window);
    while probe.running() {
        while in_flight.len() < window {
            let start = clock::now();
            in_flight.push_back((start, publish_one(publisher, body.into()).await?));
        }
        if let Some((start, confirm)) = in_flight.pop_front() {
            let outcome = confirm.await;
            probe.latency(start, clock::now());
            if outcome.is_ok() { probe.done(1) } else { probe.failed(1) }
        }
    }
    Ok(())
}

async fn consume(channel: &Channel, queue: &str, probe: &mut Probe) -> Result<()> {
    let mut consumer = channel.consume(unacknowledged(queue)).await?;
    while probe.running() {
        for _ in 0..BURST {
            let delivery = consumer.next().await?.context("the consumer was ended")?;
            std::hint::black_box(delivery.body().len());
        }
        probe.done(BURST);
    }
    Ok(())
}
