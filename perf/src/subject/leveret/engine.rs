//! The engine without oslo: publish, publish with confirms, consume.
//!
//! The worker is a plain thread, as in the baseline. Invariant: every wait has a deadline.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use leveret_engine::{
    Channel, ChannelOptions, ConnectionConfig, Consume, Engine, Host, Properties, Publisher, Route,
    Secret, block_on,
};

use crate::broker_address::BrokerAddress;
use crate::run_state::{Probe, Workers};
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
    let (body, queue) = (Arc::clone(&job.body), job.queue.clone());
    let window = job.workload.outstanding.unwrap_or(1);
    workers.spawn("leveret-client", move |probe| {
        let done = match work {
            PlainWork::Publish => publish(&publisher(&channel, queue)?, &body, probe),
            PlainWork::Confirmed => confirmed(&publisher(&channel, queue)?, &body, window, probe),
            PlainWork::Consume => consume(&channel, queue, probe),
            PlainWork::Call => bail!("the engine alone makes no calls"),
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

fn consume(channel: &Channel, queue: String, probe: &mut Probe) -> Result<()> {
    let mut consume = Consume::from_queue(queue);
    consume.no_ack = true;
    let mut consumer = block_on(channel.consume(consume))?;
    while probe.running() {
        for _ in 0..BURST {
            let delivery = consumer.next_blocking()?.context("the consumer was ended")?;
            std::hint::black_box(delivery.body().len());
        }
        probe.done(BURST);
    }
    Ok(())
}
