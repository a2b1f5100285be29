//! The driver, or the engine alone, on the threads of shards: each client is a thread that runs a
//! shard, and its operations are tasks there.

use std::future::pending;
use std::sync::mpsc;

use anyhow::{Context as _, Result};
use leveret::{Context, RpcClient};
use leveret_engine::{Engine, EngineConfig, Shard};

use super::driver::{
    Arguments, METHOD, Work, check_closed, connect, keep_in_flight, share_of_window, start_server,
};
use super::engine;
use crate::load::workers::{Probe, Workers};
use crate::placement::ExecutorName;
use crate::subject::job::{Job, PlainWork};
use crate::workload::workload::{Operation, Workload};

/// Casts between two times that the shard reads and writes.
const BURST: u64 = 64;

/// Whether a shard's thread can do this.
pub(super) fn measures(workload: &Workload) -> bool {
    let is_plain = workload.transports == 1 && workload.load.is_none();
    let is_known = !matches!(
        workload.operation,
        Operation::CallUnroutable
            | Operation::CastUnroutable
            | Operation::FirstCall
            | Operation::Idle
    );
    is_plain && is_known
}

/// Starts the clients, and returns when all are connected.
pub(super) fn start(
    config: &EngineConfig,
    query: &str,
    job: &Job,
    workers: &mut Workers,
) -> Result<()> {
    let (ready, is_ready) = mpsc::channel();
    for n in 0..job.workload.clients {
        let (config, query, job) = (config.clone(), query.to_owned(), job.clone());
        let ready = ready.clone();
        let is_connected = move || {
            // Nobody waits for it if another client has failed.
            let _ = ready.send(());
        };
        workers.spawn("leveret-client", move |probe| {
            Shard::run(config, async |engine: Engine| match job.workload.through_driver() {
                true => perform(&engine, &query, n, &job, probe, is_connected).await,
                false => perform_plain(&engine, &job, probe, is_connected).await,
            })?
        })?;
    }
    drop(ready);
    // A client that fails says why when the run is watched.
    (0..job.workload.clients).try_for_each(|_| is_ready.recv()).ok();
    Ok(())
}

/// Works with the driver until the run is over.
async fn perform(
    engine: &Engine,
    query: &str,
    n: usize,
    job: &Job,
    probe: &mut Probe,
    is_connected: impl FnOnce(),
) -> Result<()> {
    let transport = connect(engine, query, job).await?;
    is_connected();
    let work = Work::new(std::slice::from_ref(&transport), n, job)?;
    let done = match job.workload.operation {
        Operation::Cast => buffered(work.clients.next(), &work.arguments(), probe).await,
        operation => {
            let once = async || work.once(operation).await;
            keep_in_flight(share_of_window(job), probe, once).await;
            Ok(())
        }
    };
    transport.close().await?;
    done.and(check_closed(&transport, probe))
}

/// Sends casts that are done when the outbox has accepted them.
async fn buffered(client: &RpcClient, arguments: &Arguments<'_>, probe: &mut Probe) -> Result<()> {
    let context = Context::new();
    while probe.running() {
        for _ in 0..BURST {
            client.cast_buffered(&context, METHOD, arguments).await?;
        }
        probe.done(BURST);
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// Works with the engine alone until the run is over.
async fn perform_plain(
    engine: &Engine,
    job: &Job,
    probe: &mut Probe,
    is_connected: impl FnOnce(),
) -> Result<()> {
    let work = PlainWork::nearest_to(job.workload.operation).context("not for the engine")?;
    let (connection, channel) = engine::connect(engine, job, work).await?;
    is_connected();
    engine::perform(work, &connection, &channel, job, probe).await
}

/// Answers requests on this thread until the process ends.
pub(super) fn serve(
    config: EngineConfig,
    query: &str,
    job: &Job,
    executor: ExecutorName,
    n: usize,
    ready: Box<dyn FnOnce()>,
) -> Result<()> {
    // The driver's default has threads; a hosted server is asked for to have none.
    let executor = match executor {
        ExecutorName::Threads => ExecutorName::Local,
        other => other,
    };
    Shard::run(config, async |engine: Engine| {
        if !job.workload.through_driver() {
            return engine::serve(&engine, job, ready).await;
        }
        let transport = connect(&engine, query, job).await?;
        let _server = start_server(&transport, executor, &job.queue, n).await?;
        ready();
        pending().await
    })?
}
