//! The engine without oslo: publish, publish with confirms, consume.
//!
//! The worker is a plain thread, as in the baseline. Invariant: every wait has a deadline.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use leveret_engine::wire::Ids;
use leveret_engine::{
    Channel, ChannelOptions, ConnectionConfig, Consume, Engine, Host, Message, Properties,
    Publisher, QueueDeclare, Route, Secret, block_on,
};

use crate::broker::address::BrokerAddress;
use crate::load::workers::{Probe, Workers};
use crate::subject::job::{DRAIN_TIMEOUT, Job, PlainWork};
use crate::system::clock;

/// Longest wait of an operation for the broker.
pub(super) const BROKER_TIMEOUT: Duration = Duration::from_secs(10);
/// Messages between two checks whether the run is over.
const BURST: u64 = 64;

/// Connects and starts the worker.
pub(super) fn start(engine: &Engine, job: &Job, workers: &mut Workers) -> Result<()> {
    let work = PlainWork::nearest_to(job.workload.operation).context("not for the engine")?;
    let connection = engine.connect_blocking(config(&job.address))?;
    let options = ChannelOptions::default().with_confirms(work == PlainWork::Confirmed);
    let channel = block_on(connection.open_channel(options))?;
    let (body, queue) = (job.body(), job.queue.clone());
    let window = job.workload.outstanding.unwrap_or(1);
    workers.spawn("leveret-client", move |probe| {
        let done = match work {
            PlainWork::Publish => publish(&publisher(&channel, queue)?, &body, probe),
            PlainWork::Confirmed => confirmed(&publisher(&channel, queue)?, &body, window, probe),
            PlainWork::Consume => consume(&channel, &queue, probe),
            PlainWork::Call => request(&channel, queue, &body, window, probe),
        };
        let closed = block_on(connection.close());
        done?;
        closed?;
        // The broker did not process what was lost with a connection.
        match connection.reconnects() {
            0 => Ok(()),
            times => bail!("the connection was lost {times} times"),
        }
    })
}

/// Answers requests with their own body, on the shard's thread, until the process ends.
pub(super) fn serve(engine: &Engine, job: &Job, ready: Box<dyn FnOnce()>) -> Result<()> {
    let connection = engine.connect_blocking(config(&job.address))?;
    let channel = block_on(connection.open_channel(ChannelOptions::default()))?;
    block_on(channel.declare_queue(exclusive(&job.queue)))?;
    let mut consumer = block_on(channel.consume(unacknowledged(&job.queue)))?;
    ready();
    // The publisher to the reply queue of the last request, because its route is rendered once.
    let mut last: Option<(String, Publisher)> = None;
    while let Some(request) = consumer.next_blocking()? {
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
        let reply = Message { payload: (&*body).into(), ids };
        drop(publisher.publish_blocking(reply, BROKER_TIMEOUT)?);
    }
    Ok(())
}

/// Sends requests with `window` of them in flight, and takes their replies.
fn request(
    channel: &Channel,
    queue: String,
    body: &[u8],
    window: usize,
    probe: &mut Probe,
) -> Result<()> {
    let reply_queue = format!("{queue}-reply");
    block_on(channel.declare_queue(exclusive(&reply_queue)))?;
    let mut replies = block_on(channel.consume(unacknowledged(&reply_queue)))?;
    let properties = Properties::default()
        .with_reply_to(reply_queue.as_str())
        .with_correlation_id(correlation_id(0));
    let route = Route { routing_key: queue, ..Route::default() };
    let publisher = channel.publisher(route, &properties)?;
    let slots: Vec<String> = (0..window).map(correlation_id).collect();
    let send = |slot: usize| -> Result<()> {
        let ids = Ids { correlation_id: Some(&slots[slot]), ..Ids::default() };
        let request = Message { payload: body.into(), ids };
        drop(publisher.publish_blocking(request, BROKER_TIMEOUT)?);
        Ok(())
    };
    let mut started = vec![clock::now(); window];
    (0..window).try_for_each(send)?;
    while probe.running() {
        let reply = replies.next_blocking()?.context("the consumer was ended")?;
        let id = reply.properties().correlation_id.context("a reply without an id")?;
        let slot: usize = id.parse()?;
        let start = started.get_mut(slot).context("a reply to no request")?;
        let now = clock::now();
        probe.latency(*start, now);
        probe.done(1);
        *start = now;
        send(slot)?;
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
    config.operation_timeout = DRAIN_TIMEOUT;
    config
}

fn publisher(channel: &Channel, routing_key: String) -> Result<Publisher> {
    let route = Route { routing_key, ..Route::default() };
    Ok(channel.publisher(route, &Properties::default())?)
}

fn publish(publisher: &Publisher, body: &[u8], probe: &mut Probe) -> Result<()> {
    while probe.running() {
        for _ in 0..BURST {
            // Without confirms the publication is done when the connection has accepted it.
            drop(publisher.publish_blocking(body, BROKER_TIMEOUT)?);
        }
        probe.done(BURST);
    }
    Ok(())
}

fn confirmed(publisher: &Publisher, body: &[u8], window: usize, probe: &mut Probe) -> Result<()> {
    // RabbitMQ confirms in order, so the oldest confirm is the next.
    let mut in_flight = VecDeque::with_capacity(window);
    while probe.running() {
        while in_flight.len() < window {
            let start = clock::now();
            in_flight.push_back((start, publisher.publish_blocking(body, BROKER_TIMEOUT)?));
        }
        if let Some((start, confirm)) = in_flight.pop_front() {
            let outcome = confirm.wait();
            probe.latency(start, clock::now());
            if outcome.is_ok() { probe.done(1) } else { probe.failed(1) }
        }
    }
    Ok(())
}

fn consume(channel: &Channel, queue: &str, probe: &mut Probe) -> Result<()> {
    let mut consumer = block_on(channel.consume(unacknowledged(queue)))?;
    while probe.running() {
        for _ in 0..BURST {
            let delivery = consumer.next_blocking()?.context("the consumer was ended")?;
            std::hint::black_box(delivery.body().len());
        }
        probe.done(BURST);
    }
    Ok(())
}
